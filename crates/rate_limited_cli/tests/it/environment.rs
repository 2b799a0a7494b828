//! Processes that lack something: the command works, or says in one sentence what is missing.

use std::fs;
use std::process::Command;

use crate::world::{World, requests};

/// Runs the command by a shell that does something first.
fn run(world: &World, first: &str, after: &str) -> (Option<i32>, String) {
    let plain = world.command(&["run", "in.jsonl", "-o", "out.jsonl", "--fresh"]);
    let arguments: Vec<_> = plain.get_args().collect();
    let output = Command::new("sh")
        .args(["-c", &format!(r#"{first} "$0" "$@" {after}"#)])
        .arg(plain.get_program())
        .args(arguments)
        .current_dir(plain.get_current_dir().expect("it has one"))
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .expect("a shell");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn check_no_panic(first: &str, said: &str) {
    for word in ["panicked", "backtrace", "SIGABRT"] {
        assert!(!said.contains(word), "{first}: {said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn it_works_with_little() {
    let world = World::slow(1);
    world.input(&requests(20));
    for (first, after) in [
        ("env -u HOME", ""),
        ("HOME=/nowhere", ""),
        ("env -u PATH", ""),
        ("TMPDIR=/nowhere", ""),
        ("LC_ALL=C", ""),
        ("LC_ALL=xx_YY.nothing LANG=?", ""),
        ("TZ=Nowhere/Else", ""),
        ("TZ=:/dev/null", ""),
        ("TERM=", ""),
        ("TERM=nothing COLUMNS=1 LINES=1", ""),
        ("COLUMNS=-5", ""),
        ("ulimit -n 32;", ""),
        ("ulimit -c 0; ulimit -s 1024;", ""),
        ("ulimit -v 2000000;", ""),
        ("umask 0777; umask 077;", ""),
        ("", "<&-"),
        ("", ">&-"),
        ("", "2>&-"),
        ("", "<&- >&- 2>&-"),
        ("", "2>/dev/full"),
    ] {
        let (code, said) = run(&world, first, after);
        assert_eq!(code, Some(0), "{first} {after}: {said}");
        check_no_panic(first, &said);
        let output = fs::read_to_string(world.path("out.jsonl")).expect("an output");
        assert_eq!(output.lines().count(), 20, "{first} {after}: {said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn it_says_what_is_missing() {
    let world = World::slow(1);
    world.input(&requests(20));
    let arrivals = world.stats().arrivals;
    for (first, after, told) in [
        ("ulimit -n 7;", "", "ulimit -n 256"),
        ("ulimit -n 16;", "", "ulimit -n 256"),
        ("mkdir gone && cd gone && rmdir ../gone &&", "", "in.jsonl"),
        ("cd / && ", "", "in.jsonl"),
    ] {
        let (code, said) = run(&world, first, after);
        assert!(
            code.is_some_and(|code| code != 0),
            "{first} {after}: {said}"
        );
        check_no_panic(first, &said);
        assert!(said.contains(told), "{first} {after}: {said}");
        assert!(said.lines().count() <= 4, "{first} {after}: {said}");
    }
    assert_eq!(world.stats().arrivals, arrivals, "nothing is sent");
}

/// Whether a shell here may do this.
fn may(world: &World, what: &str) -> bool {
    let done = Command::new("sh")
        .args(["-c", what])
        .current_dir(world.path(""))
        .output();
    done.is_ok_and(|done| done.status.success())
}

#[test]
#[cfg(target_os = "linux")]
fn it_works_for_a_user_without_a_name_and_on_a_root_that_cannot_be_written() {
    let nobody = "setpriv --reuid=4242 --regid=4242 --clear-groups";
    let read_only = "mount --bind . . && mount -o remount,bind,ro / && ! touch /probe 2>&-";
    let in_a_namespace =
        format!(r#"unshare -m sh -c '{read_only} && cd "$PWD" && exec "$0" "$@"'"#);
    let binary = env!("CARGO_BIN_EXE_rate-limited");
    for (first, needs) in [
        (nobody, format!("{nobody} test -x {binary} -a -r in.jsonl")),
        (&*in_a_namespace, format!("unshare -m sh -c '{read_only}'")),
    ] {
        let world = World::slow(1);
        world.input(&requests(20));
        assert!(may(&world, "chmod 777 . && chmod 644 in.jsonl"));
        if !may(&world, &needs) {
            eprintln!("left out, for it may not be done here: {first}");
            continue;
        }
        let (code, said) = run(&world, first, "");
        assert_eq!(code, Some(0), "{first}: {said}");
        check_no_panic(first, &said);
        let output = fs::read_to_string(world.path("out.jsonl")).expect("an output");
        assert_eq!(output.lines().count(), 20, "{first}: {said}");
    }
}
