use super::*;
use crate::audit::AuditArgs;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Serve(Box<Serve>),
    Validate(ConfigArgs),
}

#[derive(Debug, clap::Args)]
struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    doors: DoorArgs,
    #[command(flatten)]
    _audit: AuditArgs,
}

const SERVICE: Service = Service {
    name: "bulkhead-x",
    variables: "BULKHEAD_ARGS_TEST",
    grpc_services: &[],
    grpc: "127.0.0.1:9191",
    health: "0.0.0.0:9192",
    admin: "127.0.0.1:9193",
};

fn parsed(args: &[&str]) -> Result<Cli, clap::Error> {
    parse_from(&SERVICE, std::iter::once("x").chain(args.iter().copied()).map(OsString::from))
}

fn serve(args: &[&str]) -> Serve {
    match parsed(args).unwrap().command {
        Command::Serve(serve) => *serve,
        Command::Validate(_) => panic!("not serve"),
    }
}

#[test]
fn serve_is_the_command_when_none_is_named() {
    for args in [&["--config", "c"][..], &["serve", "--config", "c"]] {
        let serve = serve(args);
        assert_eq!(serve.config.config, PathBuf::from("c"));
        assert_eq!(serve.doors.grpc.to_string(), "127.0.0.1:9191");
        assert_eq!(serve.doors.health.to_string(), "0.0.0.0:9192");
        assert_eq!(serve.doors.admin.to_string(), "127.0.0.1:9193");
        assert_eq!(serve.doors.drain, Duration::from_secs(10));
    }
}

#[test]
fn another_command_is_that_command() {
    assert!(matches!(parsed(&["validate", "--config", "c"]).unwrap().command, Command::Validate(_)));
}

#[test]
fn wrong_flags_exit_with_2() {
    let wrong: [&[&str]; 8] = [
        &[],
        &["--config"],
        &["--config", "c", "--nonsense"],
        &["nonsense"],
        &["--config", "c", "--grpc", "example.com:80"],
        &["--config", "c", "--drain", "soon"],
        &["--config", "c", "--log", "xml"],
        &["--config", "c", "--log-level", "loud"],
    ];
    for args in wrong {
        assert_eq!(parsed(args).unwrap_err().exit_code(), 2, "{args:?}");
    }
    assert_eq!(parsed(&["--help"]).unwrap_err().exit_code(), 0);
}

#[test]
fn every_flag_of_every_command_has_a_variable_with_the_prefix() {
    let command = command::<Cli>(&SERVICE, &[]);
    let mut seen = 0;
    for sub in command.get_subcommands() {
        for arg in sub.get_arguments().filter(|arg| arg.get_long().is_some_and(|long| long != "help")) {
            let long = arg.get_long().unwrap();
            let variable = format!("BULKHEAD_ARGS_TEST_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().unwrap().to_str().unwrap(), variable, "{long}");
            assert!(arg.is_hide_env_values_set(), "--help would print the value of {variable}");
            seen += 1;
        }
    }
    assert_eq!(seen, 24 + 1);
}

#[test]
fn durations_have_a_unit() {
    assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
    assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
    assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
    for text in ["", "10", "s", "-1s", "1.5s", "1h", "99999999999s", "1 s"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn another_default_stands_below_the_flag() {
    let defaults = [("grpc", "0.0.0.0:8081".to_owned())];
    let address = |args: &[&str]| {
        let args = std::iter::once("x").chain(args.iter().copied()).map(OsString::from);
        let Command::Serve(serve) = parse_with_defaults::<Cli>(&SERVICE, &defaults, args).unwrap().command else { panic!("not serve") };
        serve.doors.grpc.to_string()
    };
    assert_eq!(address(&["--config", "c"]), "0.0.0.0:8081");
    assert_eq!(address(&["--config", "c", "--grpc", "127.0.0.1:1"]), "127.0.0.1:1");
}
