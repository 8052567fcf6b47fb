//! One text's rules: compiled once, judged for each request.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use regorus::{CompiledPolicy, Engine, Value};

use crate::{
    Version, Wrong, budget, builtins, growth,
    input::Prepared,
    language,
    parse::{self, FILE, Text},
    reach, reads,
};

/// The stack on which a text is read. regorus' tree of a long chain of operators is as deep as the chain is long, also for whoever drops
/// it; such a text is refused, and its tree is gone before this stack is.
const STACK: usize = 64 << 20;

/// The rules of one text, which see nothing but their input.
#[derive(Clone)]
pub struct Rules {
    compiled: CompiledPolicy,
    reads_arguments: bool,
    patterns: usize,
}

/// Why a request does not pass a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `allow` is false, or not defined.
    #[error("`allow` is not true")]
    NotAllowed,
    /// `allow` is something else than true or false.
    #[error("`allow` is neither true nor false")]
    NoTruth,
    /// It cannot be evaluated: a function is given what it does not take, a rule has two values.
    #[error("the rule failed")]
    Failed,
    /// It takes more steps, or more time, than a rule may.
    #[error("the rule takes more than its budget of steps or time")]
    Spent,
    /// The input is larger than a rule may be asked about.
    #[error("the request is larger than a rule may be asked about")]
    TooLarge,
}

impl fmt::Debug for Rules {
    /// What was compiled is the text's, which whoever shows this shows beside it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rules")
    }
}

impl Rules {
    /// Checks and compiles a text. `version` absent: v1, else v0 where that cannot be meant otherwise.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn compile(text: &str, version: Option<Version>) -> Result<Self, Wrong> {
        budget::install();
        let whole = || Wrong::at(1, "cannot be compiled");
        thread::scope(|scope| {
            let reading = thread::Builder::new().name("rules".to_owned()).stack_size(STACK);
            let reading = reading.spawn_scoped(scope, || compile(text, version)).map_err(|_| whole())?;
            // A panic of the compiler's is an error of this text.
            reading.join().unwrap_or_else(|_| Err(whole()))
        })
    }

    /// Whether it may read `input.mcp.arguments`. If no text that is asked does, they may be left out, so that their size denies nothing.
    #[must_use]
    pub fn reads_arguments(&self) -> bool {
        self.reads_arguments
    }

    /// How many different patterns it matches with: each may take 64 KiB for as long as it is held.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.patterns
    }

    /// Judges: passes if `allow` is true, and nothing else. It takes processor time: call it where that may be spent.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, input: &Prepared) -> Result<(), Refused> {
        budget::begin();
        match catch_unwind(AssertUnwindSafe(|| self.compiled.eval_with_input(input.0.clone()))) {
            _ if budget::is_spent() => Err(Refused::Spent),
            Ok(Ok(Value::Bool(true))) => Ok(()),
            Ok(Ok(Value::Bool(false) | Value::Undefined)) => Err(Refused::NotAllowed),
            Ok(Ok(_)) => Err(Refused::NoTruth),
            Ok(Err(error)) if error.downcast_ref::<regorus::LimitError>().is_some() => Err(Refused::Spent),
            Ok(Err(_)) | Err(_) => Err(Refused::Failed),
        }
    }
}

fn compile(text: &str, version: Option<Version>) -> Result<Rules, Wrong> {
    let (text, module) = parse::parse(text, version)?;
    let (names, patterns) = language::judge(&text, &module)?;
    reach::judge(&text, &module, &names)?;
    growth::judge(&text, &module, &names)?;
    let held = patterns.len();
    let compiled = build(&text, patterns).map_err(|error| text.complaint(&error))?;
    Ok(Rules { compiled, reads_arguments: reads::arguments(&module), patterns: held })
}

fn build(text: &Text, patterns: Vec<(String, regex::Regex)>) -> anyhow::Result<CompiledPolicy> {
    let mut engine = Engine::new();
    engine.set_rego_v0(text.version == Version::V0);
    // Else a function that fails is undefined, and `not` of it is true: an error would allow.
    engine.set_strict_builtin_errors(true);
    builtins::install(&mut engine, Arc::new(patterns))?;
    let package = engine.add_policy(FILE.to_owned(), text.text.clone())?;
    engine.compile_with_entrypoint(&format!("{package}.allow").into())
}
