//! Goal: recordings go when the rules say so and somebody else agreed, and never otherwise. What a clerk
//! holds is not erased, what one person asks for another one approves, what is erased is gone from the
//! mount, from open files and from the store, and leaves a certificate and its trace in the log; and a sweep
//! does what it shows before. Real daemon, real mount, the people of the office.

use chrono::{Days, FixedOffset, Months, NaiveDate, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tsuwaroku_tests::calls::MadeCall;
use tsuwaroku_tests::harness::accounts::{
    CHIEF, KATO, MANAGER, MORI, OFFICER, Person, SATO, STRANGER, as_reader, run,
};
use tsuwaroku_tests::harness::{World, files, wait_for};
use tsuwaroku_tests::logged;
use tsuwaroku_tests::office::LINES;
use tsuwaroku_tests::served::{Archive, LIMIT};

/// Exit statuses of the command (tsuwaroku(8)).
const DONE: i32 = 0;
const ATTENTION: i32 = 1;
const NOT_ALLOWED: i32 = 77;

/// What `person` is told on standard output and error; the command must end with `status`.
#[track_caller]
fn told(world: &World, person: Person, status: i32, arguments: &[&str]) -> String {
    let output = run(world, Some(person), arguments).unwrap();
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {output:?}"
    );
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap()
}

/// The JSON that `person` is told.
#[track_caller]
fn answer(world: &World, person: Person, status: i32, arguments: &[&str]) -> Value {
    let said = told(world, person, status, &[arguments, &["--json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Where the mount shows `id`, in both trees.
fn shown(world: &World, id: &str) -> Vec<PathBuf> {
    // The last characters of the identity end the name.
    let end = format!("{}.wav", &id[22..]);
    let all = as_reader(|| files(&world.mount()));
    let ours = |path: &PathBuf| path.to_string_lossy().ends_with(&end);
    all.into_iter().filter(ours).collect()
}

/// Waits until no listing shows `id`: a kernel forgets listings a moment later.
fn wait_until_hidden(world: &World, id: &str) {
    wait_for("a listing without it", LIMIT, || {
        shown(world, id).is_empty().then_some(())
    });
}

/// The files of a store of the archive that belong to `id`.
fn stored(store: &Path, id: &str) -> Vec<PathBuf> {
    let ours = |path: &PathBuf| path.to_string_lossy().contains(id);
    files(store).into_iter().filter(ours).collect()
}

fn id(call: &MadeCall) -> String {
    call.id.to_string()
}

/// R6.7, R9.1: two persons erase a recording. From then on nobody has it, in whatever way they had it
/// open, and what remains says what it was and who wanted it gone.
#[test]
fn an_erasure_takes_two_persons_and_leaves_a_certificate() {
    let mut archive = Archive::new();
    let calls = [MadeCall::nth(0), MadeCall::nth(4)];
    archive.archive(&calls);
    let (erased, kept) = (id(&calls[0]), id(&calls[1]));
    let world = &archive.world;

    // Nobody approves what they asked for, administrators neither.
    let ground = ["--ground", "asked for by the caller"];
    let erase = [&["erase", &erased], &ground[..]].concat();
    let own = answer(world, CHIEF, ATTENTION, &erase);
    assert_eq!(own, json!({ "plan": 1, "approvers": [] }));
    let refused = told(world, CHIEF, NOT_ALLOWED, &["approve", "P1"]);
    assert!(refused.contains("another administrator"), "{refused}");
    told(
        world,
        CHIEF,
        DONE,
        &["decline", "P1", "--ground", "not mine to ask"],
    );
    told(world, CHIEF, ATTENTION, &["approve", "P1"]);

    let application = [&erase[..], &["--application", "E-12"]].concat();
    let filed = answer(world, SATO, DONE, &application);
    assert_eq!(filed, json!({ "plan": 2, "approvers": ["chief"] }));
    told(world, SATO, NOT_ALLOWED, &["approve", "P2"]);
    let waiting = answer(world, SATO, DONE, &["plans"]);
    assert_eq!(waiting[0]["wish"], json!({ "erase": [erased] }));
    assert_eq!(waiting.as_array().unwrap().len(), 1);
    assert_eq!(shown(world, &erased).len(), 2);

    let path = shown(world, &erased)[0].clone();
    let open = as_reader(|| File::open(&path)).unwrap();
    let mut bytes = [0; 64];
    open.read_exact_at(&mut bytes, 0).unwrap();
    let done = told(world, CHIEF, DONE, &["approve", "P2"]);
    assert!(done.contains("1 recording erased"), "{done}");
    let gone = as_reader(|| File::open(&path)).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let read = open.read_at(&mut bytes, 0).unwrap_err();
    assert_eq!(read.raw_os_error(), Some(nix::libc::EIO), "{read}");
    assert_eq!(stored(&world.root(), &erased), Vec::<PathBuf>::new());
    wait_until_hidden(world, &erased);
    assert_eq!(shown(world, &kept).len(), 2);
    let path = shown(world, &kept)[0].clone();
    assert!(as_reader(|| fs::read(path)).is_ok());

    archive.restart();
    let world = &archive.world;
    let certificate = answer(world, OFFICER, DONE, &["show", &erased])["erased"].clone();
    for (name, value) in [
        ("id", json!(erased)),
        ("number", json!(LINES[0].number)),
        ("day", json!("2026-11-23")),
        ("ground", json!("asked for by the caller")),
        ("application", json!("E-12")),
        ("plan", json!(2)),
        ("asked_by", json!("sato")),
        ("approved_by", json!("chief")),
    ] {
        assert_eq!(certificate[name], value, "{name}: {certificate}");
    }
    assert!(certificate["completed_at"].is_string(), "{certificate}");
    let printed = told(world, KATO, DONE, &["show", &erased]);
    assert!(printed.starts_with("Certificate of erasure"), "{printed}");
    let digest = certificate["sha256"].as_str().unwrap();
    assert!(
        printed.contains(digest) && printed.contains("E-12"),
        "{printed}"
    );
    // Whose line it was not is told nothing.
    told(world, MORI, ATTENTION, &["show", &erased]);
    let again = told(world, SATO, ATTENTION, &erase);
    assert!(again.contains("was erased"), "{again}");
    let found = answer(world, SATO, DONE, &["find"]);
    assert_eq!(found.as_array().unwrap().len(), 1);

    the_log_tells(world, &erased);
}

/// All of it, with who asked and who decided.
#[track_caller]
fn the_log_tells(world: &World, erased: &str) {
    let about = ["audit", "list", "--recording", erased];
    let records = answer(world, OFFICER, DONE, &about);
    let records = records.as_array().unwrap();
    let has = |event: &str, who: Option<&str>| {
        let is = |record: &&Value| {
            let actor = record["actor"]["name"].as_str();
            record["event"] == event && record["result"] == "done" && actor == who
        };
        records.iter().any(|record| is(&record))
    };
    for (event, who) in [
        ("filed", Some("chief")),
        ("declined", Some("chief")),
        ("filed", Some("sato")),
        ("approved", Some("chief")),
        ("erased", None),
        ("find", Some("officer")),
    ] {
        assert!(has(event, who), "{event} {who:?}: {records:#?}");
    }
    let refused = ["audit", "list", "--event", "control", "--result", "refused"];
    let refused = answer(world, OFFICER, DONE, &refused);
    let by = |name: &str| {
        let all = refused.as_array().unwrap().iter();
        let own = all.filter(|record| record["actor"]["name"] == name);
        own.filter(|record| record["facts"]["action"] == "approve")
            .count()
    };
    assert_eq!((by("chief"), by("sato")), (2, 1), "{refused}");
    told(world, OFFICER, DONE, &["audit", "verify"]);
}

/// R6.4, R6.7: what is held cannot be asked for, is not erased by what was asked for before, and is let
/// go by two persons only.
#[test]
fn a_hold_stops_an_erasure_until_two_persons_release_it() {
    let archive = Archive::new();
    // Two calls of the first line, one of the second.
    let calls = [MadeCall::nth(0), MadeCall::nth(4), MadeCall::nth(1)];
    archive.archive(&calls);
    let [first, second, other] = calls.each_ref().map(id);
    let world = &archive.world;
    let ground = ["--ground", "x"];
    let placed = ["hold", "add", &first, "--ground", "a dispute"];
    let placed = answer(world, KATO, DONE, &placed);
    assert_eq!(placed, json!({ "holds": [1], "recordings": 1 }));
    let ask = |ids: &[&str], status| {
        let erase = [&["erase"][..], ids, &ground].concat();
        told(world, SATO, status, &erase)
    };
    let refused = ask(&[&second, &first], ATTENTION);
    assert!(refused.contains("is held by H1"), "{refused}");
    assert_eq!(answer(world, CHIEF, DONE, &["plans"]), json!([]));

    // Asked for before, held when it is approved.
    ask(&[&second, &other], DONE);
    let day = ["--from", "2026-11-23", "--to", "2026-11-23"];
    let search = [
        &["hold", "add", "--number", LINES[0].number],
        &day[..],
        &ground,
    ]
    .concat();
    let placed = answer(world, KATO, DONE, &search);
    assert_eq!(placed, json!({ "holds": [2], "recordings": 2 }));
    let carried = answer(world, CHIEF, ATTENTION, &["approve", "P1"]);
    let outcomes: BTreeMap<&str, &Value> = carried["erased"]["recordings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["recording"].as_str().unwrap(), one))
        .collect();
    assert_eq!(outcomes[&*second]["outcome"], "held");
    assert_eq!(outcomes[&*second]["hold"], 2);
    assert_eq!(outcomes[&*other]["outcome"], "erased");
    wait_until_hidden(world, &other);
    let path = shown(world, &second)[0].clone();
    assert!(as_reader(|| fs::read(path)).is_ok());
    let seen = answer(world, KATO, DONE, &["show", &second])["recording"].clone();
    assert_eq!(seen["holds"][0]["hold"], 2, "{seen}");
    assert_eq!(
        (&seen["tier"], &seen["number"]),
        (&json!("primary"), &json!(LINES[0].number))
    );
    let status = answer(world, MANAGER, DONE, &["status"]);
    assert_eq!(status["life"]["holds"], 2);
    assert_eq!(status["life"]["waiting_plans"], 0);

    let release = [&["hold", "release", "H2"], &ground[..]].concat();
    told(world, SATO, DONE, &release);
    assert_eq!(
        answer(world, MANAGER, DONE, &["status"])["life"]["waiting_plans"],
        1
    );
    told(world, CHIEF, DONE, &["approve", "P2"]);
    let holds = |more: &[&str]| {
        let all = answer(world, KATO, DONE, &[&["hold", "list"], more].concat());
        let all = all.as_array().unwrap().clone();
        let one = |hold: &Value| (hold["hold"].as_u64().unwrap(), hold["released_by"].clone());
        all.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(holds(&[]), [(1, Value::Null)]);
    assert_eq!(holds(&["--all"]), [(1, Value::Null), (2, json!("chief"))]);
    ask(&[&second], DONE);
    told(world, CHIEF, DONE, &["approve", "P3"]);
    wait_until_hidden(world, &second);
    assert_eq!(shown(world, &first).len(), 2, "H1 is in force");
    told(world, OFFICER, DONE, &["audit", "verify"]);
}

/// R3.2, R9.1: who has no say is refused, root included, and is in the log with what they tried.
#[test]
fn who_has_no_say_is_refused_and_logged() {
    let archive = Archive::new();
    let calls = [MadeCall::nth(0), MadeCall::nth(1)];
    archive.archive(&calls);
    let [first, second] = calls.each_ref().map(id);
    let world = &archive.world;
    // So that there is something to decide, and to see.
    told(world, SATO, DONE, &["erase", &first, "--ground", "x"]);
    told(
        world,
        SATO,
        DONE,
        &["hold", "add", &second, "--ground", "x"],
    );
    let hold = |id| ["hold", "add", id, "--ground", "x"];
    let erase = |id| ["erase", id, "--ground", "x"];
    let cases: [(Option<Person>, &[&str]); 15] = [
        (Some(KATO), &hold(&second)),
        (Some(KATO), &erase(&second)),
        (Some(MORI), &hold(&first)),
        (Some(MANAGER), &erase(&first)),
        (Some(MANAGER), &["approve", "P1"]),
        (Some(MANAGER), &["decline", "P1", "--ground", "x"]),
        (Some(OFFICER), &hold(&first)),
        (Some(OFFICER), &["approve", "P1"]),
        (Some(OFFICER), &["sweep"]),
        (Some(SATO), &["sweep", "--dry-run"]),
        (Some(SATO), &["clock", "confirm", "--ground", "x"]),
        (Some(STRANGER), &["plans"]),
        (None, &hold(&first)),
        (None, &erase(&first)),
        (None, &["approve", "P1"]),
    ];
    for (person, arguments) in cases {
        let output = run(world, person, arguments).unwrap();
        assert_eq!(
            output.status.code(),
            Some(NOT_ALLOWED),
            "{arguments:?}: {output:?}"
        );
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    // What is not theirs is not there for them.
    told(world, KATO, ATTENTION, &["show", &second]);
    let seen = |person, arguments: &[&str]| {
        let all = answer(world, person, DONE, arguments);
        all.as_array().unwrap().len()
    };
    let (holds, plans) = (["hold", "list"], ["plans"]);
    assert_eq!(
        [SATO, KATO, MORI, OFFICER].map(|who| seen(who, &holds)),
        [1, 0, 0, 1]
    );
    assert_eq!(
        [SATO, KATO, MORI, OFFICER].map(|who| seen(who, &plans)),
        [1, 1, 0, 1]
    );
    assert_eq!(shown(world, &first).len(), 2);
    assert_eq!(
        answer(world, OFFICER, DONE, &["plans"])[0]["state"],
        "waiting"
    );
    let catalogue = logged::catalogue(&world.root());
    wait_for("the refusals to be logged", LIMIT, || {
        let all = logged::of_event(&catalogue, "control");
        let refused = all.iter().filter(|record| record.ended("refused"));
        (refused.count() == cases.len()).then_some(())
    });
}

/// Sound of a former recorder, of its own for each `seed`.
fn former(path: &Path, seed: u32) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for at in 0..8000_u32 {
        let sample = (at * 37 + seed * 1009) % 2000;
        writer.write_sample(sample as i16 - 1000).unwrap();
    }
    writer.finalize().unwrap();
}

/// An archive with a second medium, which keeps recordings for half a year on each.
fn two_tiers() -> (Archive, PathBuf) {
    let world = World::new().unwrap();
    let secondary = world.path().join("second");
    fs::create_dir(&secondary).unwrap();
    let config = fs::read_to_string(world.config()).unwrap();
    let master = format!("master_key = \"{}\"", world.master_key().display());
    assert!(config.contains(&master) && config.contains("months = 120"));
    let second = format!("{master}\nsecondary = \"{}\"", secondary.display());
    let config = config.replace(&master, &second);
    let config = config.replace("months = 120", "months = 6");
    fs::write(world.config(), config).unwrap();
    (Archive::of(world), secondary)
}

/// The office's day.
fn today() -> NaiveDate {
    let tokyo = FixedOffset::east_opt(9 * 3600).unwrap();
    Utc::now().with_timezone(&tokyo).date_naive()
}

/// What a sweep shows that it would do: recordings by what they are due for, each in the order of time.
#[derive(Debug, PartialEq, Eq)]
struct Due {
    erase: Vec<String>,
    moves: Vec<String>,
    held: Vec<String>,
}

impl Due {
    fn shown(world: &World) -> Self {
        let due = answer(world, OFFICER, DONE, &["sweep", "--dry-run"]);
        let items = due["items"].as_array().unwrap();
        for item in items {
            let last_day = item["last_day"].as_str().unwrap();
            assert!(last_day < &*today().to_string(), "{item}");
            assert_eq!(item["number"], LINES[0].number, "{item}");
        }
        let of = |word: &str| {
            let ours = items.iter().filter(|item| item["due"] == word);
            let ids = ours.map(|item| item["recording"].as_str().unwrap().to_owned());
            let ids: Vec<_> = ids.collect();
            assert_eq!(due["sums"][word]["recordings"], ids.len(), "{due}");
            ids
        };
        Self {
            erase: of("erase"),
            moves: of("move"),
            held: of("held"),
        }
    }
}

/// The files of a former recorder, one for each of `days`, and the words that import them.
fn former_files(world: &World, days: &[NaiveDate]) -> Vec<String> {
    let old = world.path().join("old");
    fs::create_dir(&old).unwrap();
    for (seed, day) in (1..).zip(days) {
        let name = format!("{}-101530.wav", day.format("%Y%m%d"));
        former(&old.join(name), seed);
    }
    let folder = old.to_str().unwrap();
    let line = ["--line", LINES[0].number];
    let pattern = ["--pattern", "%Y%m%d-%H%M%S", "--json"];
    let words = [&["import", folder], &line[..], &pattern].concat();
    words.into_iter().map(str::to_owned).collect()
}

/// How many files were imported, imported past their last day, there before, and erased before.
#[track_caller]
fn imported(world: &World, words: &[String]) -> [u64; 4] {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let told = run(world, None, &words).unwrap();
    assert!(told.status.success(), "{told:?}");
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    ["imported", "over", "already", "erased"].map(|name| told[name].as_u64().unwrap())
}

/// Every file of the mount.
fn contents(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| (path.clone(), as_reader(|| fs::read(path)).unwrap());
    world.recordings().into_iter().map(read).collect()
}

/// R6.1–R6.4: of old recordings that come in, some are due to move, some to go, and one is held. What a
/// dry run shows is what a sweep does.
#[test]
fn a_sweep_does_what_its_dry_run_shows() {
    let (mut archive, secondary) = two_tiers();
    let world = &archive.world;
    let months_ago = |months| today().checked_sub_months(Months::new(months)).unwrap();
    // Two days more than the months, so that no month's end makes a difference.
    let day = |months| months_ago(months).checked_sub_days(Days::new(2)).unwrap();
    let days = [day(14), day(13), day(9), day(7), day(1)];
    let import = former_files(world, &days);
    assert_eq!(imported(world, &import), [3, 2, 0, 0]);
    // R6.3: what is past its last day is not there, swept or not.
    let found = answer(world, SATO, DONE, &["find"]);
    assert_eq!(found.as_array().unwrap().len(), 3);
    assert_eq!(world.recordings().len(), 3);
    let first = days[0].to_string();
    let search = ["--from", &first, "--to", &first, "--ground", "a dispute"];
    let hold = ["hold", "add", "--number", LINES[0].number];
    told(world, SATO, DONE, &[&hold[..], &search].concat());
    wait_for("what is held to be there", LIMIT, || {
        (world.recordings().len() == 4).then_some(())
    });

    let (before, due) = (contents(world), Due::shown(world));
    let counts = (due.erase.len(), due.moves.len(), due.held.len());
    assert_eq!(counts, (1, 3, 1), "{due:?}");
    assert_eq!(due.moves[0], due.held[0], "a hold stops no move");
    let table = told(world, OFFICER, DONE, &["sweep", "--dry-run"]);
    assert!(table.contains(&due.erase[0]), "{table}");
    assert!(table.contains("held by H1"), "{table}");
    let there = files(&secondary.join("objects"));
    assert_eq!(there, Vec::<PathBuf>::new(), "nothing is done");

    let swept = answer(world, MANAGER, DONE, &["sweep"]);
    for (name, count) in [("erased", 1), ("moved", 3), ("held", 1), ("overdue", 0)] {
        assert_eq!(swept[name], count, "{name}: {swept}");
    }
    is_done(world, &secondary, &due);
    assert!(contents(world) == before, "what moved is what it was");
    let certificate = answer(world, OFFICER, DONE, &["show", &due.erase[0]]);
    assert_eq!(certificate["erased"]["ground"], "R6.3");
    assert_eq!(certificate["erased"]["day"], days[1].to_string());
    // What was erased does not come back.
    assert_eq!(imported(world, &import), [0, 0, 4, 1]);
    told(world, MANAGER, DONE, &["status"]);
    told(world, MANAGER, DONE, &["verify"]);
    told(world, OFFICER, DONE, &["audit", "verify"]);

    without_the_second_medium(&mut archive, &secondary);
}

/// What was `due` is where it belongs, and nothing is due but what is held.
#[track_caller]
fn is_done(world: &World, secondary: &Path, due: &Due) {
    let left = Due::shown(world);
    assert_eq!((left.erase, left.moves), (vec![], vec![]));
    assert_eq!(left.held, due.held);
    for id in &due.moves {
        assert_eq!(stored(&secondary.join("objects"), id).len(), 1);
        assert_eq!(stored(&world.root(), id), Vec::<PathBuf>::new());
        let shown = answer(world, SATO, DONE, &["show", id]);
        assert_eq!(shown["recording"]["tier"], "secondary");
    }
    for place in [&world.root(), secondary] {
        assert_eq!(stored(place, &due.erase[0]), Vec::<PathBuf>::new());
    }
}

/// R6.2: a medium that is not mounted is noticed, said, and does not stop the rest.
fn without_the_second_medium(archive: &mut Archive, secondary: &Path) {
    archive.stop();
    let away = secondary.with_file_name("away");
    fs::rename(secondary, &away).unwrap();
    fs::create_dir(secondary).unwrap();
    archive.start();
    let said = told(&archive.world, MANAGER, ATTENTION, &["status"]);
    assert!(said.contains("The second medium is not there"), "{said}");
    assert!(said.contains(secondary.to_str().unwrap()), "{said}");
    archive.stop();
    fs::remove_dir(secondary).unwrap();
    fs::rename(&away, secondary).unwrap();
    archive.start();
    told(&archive.world, MANAGER, DONE, &["status"]);
}

/// The clocks are told; there is nothing to confirm while they agree.
#[test]
fn a_clock_that_has_not_jumped_needs_no_confirmation() {
    let archive = Archive::new();
    let status = answer(&archive.world, SATO, DONE, &["clock", "status"]);
    assert_eq!(status["frozen"], Value::Null);
    assert_eq!(status["day"], today().to_string());
    let confirm = ["clock", "confirm", "--ground", "NTP was off"];
    let refused = told(&archive.world, MANAGER, ATTENTION, &confirm);
    assert!(refused.contains("clock status"), "{refused}");
    assert_eq!(answer(&archive.world, CHIEF, DONE, &["plans"]), json!([]));
}
