use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::Path,
    sync::{
        Condvar,
        atomic::{AtomicBool, Ordering},
    },
};

use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::{ManualClock, SystemClock},
    snapshot::Snapshot,
};
use tempfile::TempDir;

use super::*;
use crate::{
    chain::Seal,
    record::Decision,
    settings::{Bounds, Rotation, Sync},
    verify::verify,
};

/// acme in the region `eu`, globex in `us`, and more tenants in no region.
fn snapshot(more: usize) -> Arc<Snapshot> {
    let head = "apiVersion: gostoa.dev/v1alpha1";
    let plan = "{ rateLimit: { requestsPerMinute: 10 }, guaranteed: { requestsPerMinute: 1 } }";
    let mut files = vec![
        (
            "platform.yaml".to_owned(),
            format!("{head}\nkind: Platform\nmetadata: {{ name: platform }}\nspec: {{ rateLimit: {{ requestsPerMinute: 1000000 }} }}\n"),
        ),
        ("plan.yaml".to_owned(), format!("{head}\nkind: Plan\nmetadata: {{ name: p }}\nspec: {plan}\n")),
    ];
    let mut tenant = |name: &str, region: &str| {
        let issuer = format!("issuers: [ {{ issuer: 'https://auth.example.com/{name}' }} ]");
        let text = format!("{head}\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec: {{ plan: p, uid: uid-{name}, {issuer}{region} }}\n");
        files.push((format!("tenants/{name}.yaml"), text));
    };
    tenant("acme", ", region: eu");
    tenant("globex", ", region: us");
    (0..more).for_each(|nth| tenant(&format!("t{nth}"), ""));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    catalog.apply(changes_of(&files)).unwrap()
}

/// What was counted, by tenant and outcome.
#[derive(Default, Clone)]
struct Counts(Arc<Mutex<BTreeMap<(String, &'static str), u64>>>);

impl Counts {
    fn counter(&self) -> Count {
        let counts = Arc::clone(&self.0);
        Arc::new(move |tenant, what, by| {
            let name = tenant.map_or_else(|| "-".to_owned(), |tenant| tenant.name.to_string());
            *counts.lock().unwrap().entry((name, what)).or_default() += by;
        })
    }

    fn of(&self, tenant: &str, what: &'static str) -> u64 {
        self.0.lock().unwrap().get(&(tenant.to_owned(), what)).copied().unwrap_or_default()
    }
}

fn settings(directory: &Path) -> Settings {
    Settings {
        service: "ext-authz",
        instance: Some("a".parse().unwrap()),
        directory: Some(directory.to_path_buf()),
        sync: Sync::Each,
        rotation: Rotation::default(),
        stream_bytes: 1 << 30,
        seal: Seal::Plain,
        queue: Bounds::default(),
        open_streams: 100,
    }
}

fn record(id: &str) -> Record {
    Record { id: Some(crate::text::Text::bounded(id, 64)), decision: Some(Decision::new("allow")), ..Record::default() }
}

/// A disk that does nothing in one region's folder until it is let go, or says that it is full there.
#[derive(Default)]
struct Sick {
    hangs: Mutex<bool>,
    changed: Condvar,
    full: AtomicBool,
    /// Whether nothing is made to last.
    loose: AtomicBool,
    /// The files of `eu` are known by what is in them: the disk sees no names.
    mark: &'static str,
}

impl Sick {
    fn is_sick(&self, bytes: &[u8]) -> bool {
        String::from_utf8_lossy(bytes).contains(self.mark)
    }

    fn let_go(&self) {
        *self.hangs.lock().unwrap() = false;
        self.changed.notify_all();
    }
}

impl Disk for Sick {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        if self.is_sick(bytes) {
            if self.full.load(Ordering::SeqCst) {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::DQUOT.raw_os_error()));
            }
            drop(self.changed.wait_while(self.hangs.lock().unwrap(), |hangs| *hangs).unwrap());
        }
        RealDisk.append(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.loose.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        RealDisk.sync(file)
    }
}

struct Stage {
    directory: TempDir,
    snapshot: Arc<Snapshot>,
    audit: Audit,
    counts: Counts,
}

impl Stage {
    fn new(disk: Arc<dyn Disk>, change: impl FnOnce(&mut Settings)) -> Self {
        let directory = TempDir::new().unwrap();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let counts = Counts::default();
        let audit = Audit::on(settings, Arc::new(SystemClock), counts.counter(), disk);
        Self { directory, snapshot: snapshot(0), audit, counts }
    }

    fn stream(&self, tenant: &str) -> (Stream, Arc<Tenant>) {
        let tenant = self.snapshot.tenant(tenant).unwrap();
        (self.audit.stream(self.snapshot.platform(), Whom::Tenant(tenant)).unwrap(), Arc::clone(tenant))
    }

    async fn must(&self, tenant: &str, id: &str, within: Duration) -> Result<(), Refused> {
        let (stream, tenant) = self.stream(tenant);
        self.audit.must(&stream, Some(&tenant), record(id))?.until(Instant::now() + within).await
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(path)).unwrap_or_default()
    }

    fn faults(&self) -> Vec<String> {
        let report = verify(&[self.directory.path().to_path_buf()], &Seal::Plain, &[]).unwrap();
        report.faults.into_iter().map(|fault| fault.to_string()).collect()
    }
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_record_is_in_its_tenants_region_when_it_is_accepted() {
    for sync in [Sync::Each, Sync::Batch, Sync::Os] {
        let stage = Stage::new(Arc::new(RealDisk), |settings| settings.sync = sync);
        stage.must("acme", "first", LONG).await.unwrap();
        assert!(stage.text("eu/tenant-acme/ext-authz-a.jsonl").contains("\"first\""), "{sync:?}");
        stage.must("globex", "second", LONG).await.unwrap();
        assert!(stage.text("us/tenant-globex/ext-authz-a.jsonl").contains("\"second\""));
        assert_eq!(stage.faults(), Vec::<String>::new());
        assert_eq!((stage.counts.of("acme", "written"), stage.counts.of("globex", "written")), (1, 1));
    }
}

#[tokio::test]
async fn s11_a_disk_that_hangs_refuses_its_own_region_and_nobody_else() {
    let disk = Arc::new(Sick { hangs: Mutex::new(true), mark: "of-acme", ..Sick::default() });
    let stage = Stage::new(Arc::<Sick>::clone(&disk), |_| {});
    assert_eq!(stage.must("acme", "of-acme-1", Duration::from_millis(20)).await, Err(Refused::Late));
    assert_eq!(stage.must("acme", "of-acme-2", Duration::from_millis(20)).await, Err(Refused::Late));
    for nth in 0..20 {
        stage.must("globex", &nth.to_string(), LONG).await.unwrap();
    }
    disk.let_go();
    stage.must("acme", "of-acme-3", LONG).await.unwrap();
    // The first was being written when it was given up; the second was not, and is not written.
    let text = stage.text("eu/tenant-acme/ext-authz-a.jsonl");
    assert!(!text.contains("of-acme-2") && text.contains("of-acme-3"), "{text}");
    assert_eq!(stage.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_at_once() {
    let disk = Arc::new(Sick { hangs: Mutex::new(true), mark: "of-acme", ..Sick::default() });
    let queue = Bounds { stream: 8192, reserve: 0, ..Bounds::default() };
    let stage = Stage::new(Arc::<Sick>::clone(&disk), |settings| settings.queue = queue);
    let (stream, acme) = stage.stream("acme");
    let mut receipts = Vec::new();
    let refused = loop {
        match stage.audit.must(&stream, Some(&acme), record("of-acme")) {
            Ok(receipt) => receipts.push(receipt),
            Err(refused) => break refused,
        }
        assert!(receipts.len() < 1000);
    };
    assert_eq!((refused, stage.counts.of("acme", "refused")), (Refused::QueueFull, 1));
    stage.audit.offer(&stream, Some(&acme), record("of-acme"));
    assert_eq!(stage.counts.of("acme", "lost"), 1);
    disk.let_go();
}

#[tokio::test]
async fn a_full_disk_refuses_and_a_disk_with_room_again_accepts() {
    let disk = Arc::new(Sick { full: AtomicBool::new(true), mark: "of-acme", ..Sick::default() });
    let stage = Stage::new(Arc::<Sick>::clone(&disk), |_| {});
    for _ in 0..3 {
        assert!(matches!(stage.must("acme", "of-acme", LONG).await, Err(Refused::Disk(_))));
    }
    stage.must("globex", "x", LONG).await.unwrap();
    disk.full.store(false, Ordering::SeqCst);
    stage.must("acme", "of-acme", LONG).await.unwrap();
    assert_eq!((stage.counts.of("acme", "refused"), stage.counts.of("acme", "written")), (3, 1));
    assert_eq!(stage.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_is_written_and_may_not_last_is_refused_and_said_to_stand() {
    let disk = Arc::new(Sick { loose: AtomicBool::new(true), mark: "nothing", ..Sick::default() });
    let stage = Stage::new(Arc::<Sick>::clone(&disk), |settings| settings.sync = Sync::Each);
    let refused = stage.must("acme", "first", LONG).await.unwrap_err();
    assert!(matches!(refused, Refused::Unsynced(_)) && refused.may_stand(), "{refused:?}");
    assert!(stage.text("eu/tenant-acme/ext-authz-a.jsonl").contains("\"first\""));
    disk.loose.store(false, Ordering::SeqCst);
    stage.must("acme", "second", LONG).await.unwrap();
    assert_eq!((stage.counts.of("acme", "refused"), stage.counts.of("acme", "written")), (1, 1));
    assert_eq!(stage.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn s11_a_stream_that_has_its_bytes_is_full_alone_and_keeps_a_reserve_for_what_must_be_written() {
    let stage = Stage::new(Arc::new(RealDisk), |settings| settings.stream_bytes = 64 << 10);
    let (stream, acme) = stage.stream("acme");
    while stage.counts.of("acme", "lost") == 0 {
        stage.audit.offer(&stream, Some(&acme), record("denied"));
        tokio::task::yield_now().await;
    }
    stage.must("acme", "the reserve", LONG).await.unwrap();
    let full = loop {
        if let Err(refused) = stage.must("acme", "more", LONG).await {
            break refused;
        }
    };
    assert_eq!(full, Refused::StreamFull);
    stage.must("globex", "x", LONG).await.unwrap();
    assert!(std::fs::metadata(stage.directory.path().join("eu/tenant-acme/ext-authz-a.jsonl")).unwrap().len() <= 64 << 10);
    assert_eq!(stage.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_refuses_its_region_alone_until_it_can() {
    let stage = Stage::new(Arc::new(RealDisk), |_| {});
    // A file where the region's folder should be: nobody, root neither, can write in it.
    std::fs::write(stage.directory.path().join("eu"), "").unwrap();
    assert!(matches!(stage.must("acme", "x", LONG).await, Err(Refused::Disk(_))));
    stage.must("globex", "x", LONG).await.unwrap();
    std::fs::remove_file(stage.directory.path().join("eu")).unwrap();
    let until = std::time::Instant::now() + LONG;
    while stage.must("acme", "x", LONG).await.is_err() {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_folder_that_is_moved_away_under_its_writer_is_not_written_any_more() {
    let stage = Stage::new(Arc::new(RealDisk), |_| {});
    for moved in ["eu", "eu/tenant-acme"] {
        stage.must("acme", "before", LONG).await.unwrap();
        let (from, to) = (stage.directory.path().join(moved), stage.directory.path().join("moved"));
        std::fs::rename(&from, &to).unwrap();
        std::fs::write(&from, "").unwrap();
        assert!(matches!(stage.must("acme", "x", LONG).await, Err(Refused::Disk(_))), "{moved}");
        std::fs::remove_file(&from).unwrap();
        std::fs::rename(&to, &from).unwrap();
        let until = std::time::Instant::now() + LONG;
        while stage.must("acme", "after", LONG).await.is_err() {
            assert!(std::time::Instant::now() < until);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(stage.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn s11_a_stream_that_is_cut_under_its_writer_goes_on_with_a_record_of_what_is_missing() {
    let stage = Stage::new(Arc::new(RealDisk), |_| {});
    for nth in 0..3 {
        stage.must("acme", &nth.to_string(), LONG).await.unwrap();
    }
    let file = stage.directory.path().join("eu/tenant-acme/ext-authz-a.jsonl");
    File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    stage.must("acme", "after", LONG).await.unwrap();
    let text = stage.text("eu/tenant-acme/ext-authz-a.jsonl");
    assert!(text.starts_with(r#"{"seq":4,"#) && text.contains(r#""lost_from":1,"lost_to":3"#) && text.contains("\"after\""), "{text}");
    assert_eq!(stage.faults().len(), 1);
    stage.must("acme", "later", LONG).await.unwrap();
    assert_eq!(stage.text("eu/tenant-acme/ext-authz-a.jsonl").lines().count(), 3);
}

#[tokio::test]
async fn two_processes_never_write_one_file() {
    let stage = Stage::new(Arc::new(RealDisk), |_| {});
    stage.must("acme", "x", LONG).await.unwrap();
    let same = settings(stage.directory.path());
    for (instance, files) in [(same.instance.clone(), 1), (None, 2), (None, 3)] {
        let settings = Settings { instance, ..same.clone() };
        let fixed = settings.instance.is_some();
        let other = Audit::new(settings, Arc::new(SystemClock), stage.counts.counter());
        let (_, acme) = stage.stream("acme");
        let stream = other.stream(stage.snapshot.platform(), Whom::Tenant(&acme)).unwrap();
        let written = other.must(&stream, Some(&acme), record("y")).unwrap().until(Instant::now() + LONG).await;
        assert_eq!(written.is_err(), fixed, "{written:?}");
        let heads = std::fs::read_dir(stage.directory.path().join("eu/tenant-acme")).unwrap();
        let heads = heads.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "head"));
        assert_eq!(heads.count(), files);
        std::mem::forget(other);
    }
    assert_eq!(stage.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn hundreds_of_streams_share_few_open_files() {
    let mut stage = Stage::new(Arc::new(RealDisk), |settings| settings.sync = Sync::Os);
    stage.snapshot = snapshot(300);
    for round in 0..3 {
        for nth in 0..300 {
            stage.must(&format!("t{nth}"), &round.to_string(), LONG).await.unwrap();
        }
    }
    let open = std::fs::read_dir("/proc/self/fd").map(|open| {
        let inside = |path: std::path::PathBuf| path.starts_with(stage.directory.path());
        open.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().read_link().is_ok_and(inside))).count()
    });
    assert!(open.is_ok_and(|open| open < 400));
    assert_eq!(stage.faults(), Vec::<String>::new());
    let report = verify(&[stage.directory.path().to_path_buf()], &Seal::Plain, &[]).unwrap();
    assert!(report.streams.len() == 300 && report.streams.iter().all(|stream| stream.records == 3));
}

#[tokio::test]
async fn s11_what_is_unresolved_is_merged_beyond_a_rate_in_a_stream_of_its_own() {
    let clock = ManualClock::at_us(1_000_000);
    let directory = TempDir::new().unwrap();
    let counts = Counts::default();
    let audit = Audit::new(settings(directory.path()), Arc::new(clock.clone()), counts.counter());
    let snapshot = snapshot(0);
    let stream = audit.stream(snapshot.platform(), Whom::Unresolved).unwrap();
    for nth in 0..2000 {
        audit.denied(&stream, None, &format!("id-{nth}"), "no_credentials", || record(&format!("id-{nth}")));
    }
    audit.close(LONG);
    let text = std::fs::read_to_string(directory.path().join("default/_unresolved/ext-authz-a.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let merged = &lines.last().unwrap()["merged"];
    assert_eq!(lines.len() as u64 - 1 + merged["count"].as_u64().unwrap(), 2000);
    assert_eq!(
        (&merged["first"], &merged["last"], &merged["verdicts"]["no_credentials"]),
        (&"id-500".into(), &"id-1999".into(), &1500.into())
    );
    assert_eq!(counts.of("-", "merged"), 1500);
}

#[tokio::test]
async fn without_a_folder_there_is_no_stream() {
    let stage = Stage::new(Arc::new(RealDisk), |settings| settings.directory = None);
    let acme = stage.snapshot.tenant("acme").unwrap();
    assert!(stage.audit.stream(stage.snapshot.platform(), Whom::Tenant(acme)).is_none());
}
