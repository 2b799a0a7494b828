//! Disks that become full in the middle of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{World, request};

/// A disk that is full in the middle of a run: what was answered is kept, and the run goes on later.
#[test]
fn a_full_disk_keeps_what_was_answered() {
    let mut done = 0;
    for megabytes in [9, 10, 11, 12, 14, 16, 20, 24] {
        let world = World::slow(2);
        let disk = world.path("disk");
        fs::create_dir(&disk).expect("room");
        let Some(mounted) = Mounted::new(&disk, megabytes) else {
            eprintln!("skipped: no right to mount a tmpfs");
            return;
        };
        let long = ",\"user\":\"".to_owned() + &"x".repeat(100) + "\",\"n\":40";
        let lines: String = (1..=400).map(|number| request(number, &long)).collect();
        world.input(&lines);
        let args = [
            "run",
            "in.jsonl",
            "-o",
            "disk/out.jsonl",
            "--max-concurrent",
            "8",
        ];
        let first = world.run_command(&args);
        assert!(
            matches!(first.code, Some(0 | 4)),
            "{megabytes}: {}",
            first.stderr
        );
        if first.code == Some(4) {
            done += 1;
            let sent = world.stats().arrivals;
            mounted.resize(64);
            // Of no call it is unknown whether it was answered: what was in flight came back, and the rest never left.
            let second = world.run_command(&[&args[..], &["--on-unknown", "skip"]].concat());
            assert_eq!(second.code, Some(0), "{megabytes}: {}", second.stderr);
            let repeated = world.stats().arrivals - 400;
            assert_eq!(
                repeated, 0,
                "{megabytes}: {sent} {}\n{}",
                first.stderr, second.stderr
            );
        }
        let text = fs::read_to_string(disk.join("out.jsonl")).expect("an output");
        assert_eq!(text.lines().count(), 400);
        let verified = world.run_command(&["status", "disk/out.jsonl", "--verify"]);
        assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    }
    assert!(done >= 4, "the disk was full {done} times");
}

/// The output is on a disk that becomes full, its journal on another one.
#[test]
fn an_output_on_a_full_disk_goes_on_from_its_journal() {
    let world = World::slow(2);
    let disk = world.path("disk");
    fs::create_dir(&disk).expect("room");
    let Some(mounted) = Mounted::new(&disk, 1) else {
        eprintln!("skipped: no right to mount a tmpfs");
        return;
    };
    let lines: String = (1..=300).map(|n| request(n, ",\"n\":40")).collect();
    world.input(&lines);
    let args = ["run", "in.jsonl", "-o", "disk/out.jsonl", "--journal", "j"];
    let first = world.run_command(&args);
    assert_eq!(first.code, Some(4), "{}", first.stderr);
    let kept = fs::read_to_string(disk.join("out.jsonl")).expect("an output");
    assert!(kept.ends_with('\n'), "whole lines");
    for told in [
        "error: failed to write the output disk/out.jsonl: No space left on device".to_owned(),
        format!(
            "\n{} lines are in disk/out.jsonl; no result is lost",
            kept.lines().count()
        ),
        "in the journal j; next: make room, and run the same command again".to_owned(),
    ] {
        assert!(first.stderr.contains(&told), "{told}: {}", first.stderr);
    }
    let sent = world.stats().arrivals;
    // What is answered is in the journal; without room for it in the output nothing more is asked for.
    let second = world.run_command(&args);
    assert_eq!(
        (second.code, world.stats().arrivals),
        (Some(4), sent),
        "{}",
        second.stderr
    );
    mounted.resize(64);
    let third = world.run_command(&args);
    assert_eq!(
        (third.code, world.stats().arrivals),
        (Some(0), 300),
        "{}",
        third.stderr
    );
    let text = fs::read_to_string(disk.join("out.jsonl")).expect("an output");
    assert!(text.starts_with(&kept));
    assert_eq!(text.lines().count(), 300);
}

/// A small file system of its own.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: &Path, megabytes: u32) -> Option<Mounted> {
        let options = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Mounted(path.to_owned()))
    }

    fn resize(&self, megabytes: u32) {
        let options = format!("remount,size={megabytes}m");
        let status = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status();
        assert!(status.expect("mount is there").success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
