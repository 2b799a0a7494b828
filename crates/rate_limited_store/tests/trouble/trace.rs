//! What a process did to its files, as strace tells it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A file, whatever its name is.
pub(crate) type Object = usize;

/// One thing that was done.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Create {
        path: PathBuf,
        object: Object,
    },
    Write {
        object: Object,
        at: usize,
        bytes: Vec<u8>,
    },
    Resize {
        object: Object,
        bytes: usize,
    },
    /// The disk has all that was written to the file.
    Sync {
        object: Object,
    },
    /// The disk has all names in the folder.
    SyncNames,
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// A result was told.
    Told {
        call: u64,
    },
}

/// The words under which a process is traced: all that `read` understands.
pub(crate) fn words(log: &Path) -> Vec<String> {
    let calls = "trace=openat,pwrite64,write,ftruncate,fallocate,fsync,fdatasync,unlink,unlinkat,\
                 rename,renameat2,linkat";
    let words = ["strace", "-f", "-qq", "-y", "-xx", "-s", "200000", "-o"];
    let mut words: Vec<_> = words.map(str::to_owned).to_vec();
    words.push(log.to_str().expect("plain").to_owned());
    words.extend(["-e", calls].map(str::to_owned));
    words
}

/// Reads a trace; deeds elsewhere than in `folder` are left out.
pub(crate) fn read(log: &Path, folder: &Path) -> Vec<Deed> {
    let text = std::fs::read_to_string(log).expect("a trace");
    let mut begun: HashMap<&str, String> = HashMap::new();
    let mut reader = Reader {
        folder,
        names: HashMap::new(),
        objects: 0,
        deeds: Vec::new(),
    };
    for line in text.lines() {
        let (process, rest) = line.split_once(' ').expect("a process");
        let rest = rest.trim_start();
        if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(process, first.to_owned());
        } else if let Some((_, last)) = rest.split_once(" resumed>") {
            let first = begun.remove(process).expect("a beginning");
            reader.line(&(first + last));
        } else {
            reader.line(rest);
        }
    }
    reader.deeds
}

struct Reader<'a> {
    folder: &'a Path,
    names: HashMap<PathBuf, Object>,
    objects: usize,
    deeds: Vec<Deed>,
}

impl Reader<'_> {
    fn line(&mut self, line: &str) {
        let Some((call, rest)) = line.split_once('(') else {
            return;
        };
        let Some((words, result)) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once(')'))
        else {
            return;
        };
        if result.trim_start_matches([' ', '=']).starts_with('-') {
            return;
        }
        match call {
            "openat" => self.open(words, result),
            "unlink" | "unlinkat" => self.remove(words),
            "rename" | "renameat2" => self.rename(words),
            "linkat" => panic!("no journal makes a link: {line}"),
            "pwrite64" => self.write(words),
            "write" => self.told(words),
            "ftruncate" | "fallocate" => self.resize(call, words),
            "fsync" | "fdatasync" => self.sync(words),
            _ => {}
        }
    }

    /// The path in the folder that a descriptor stands for: `7</folder/name>`.
    fn file(&self, words: &str) -> Option<PathBuf> {
        let (_, path) = words.split_once('<')?;
        let (path, _) = path.split_once('>')?;
        let path = PathBuf::from(String::from_utf8(unhexed(path)).ok()?);
        path.starts_with(self.folder).then_some(path)
    }

    fn object(&self, words: &str) -> Option<Object> {
        self.names.get(&self.file(words)?).copied()
    }

    fn open(&mut self, words: &str, result: &str) {
        let Some(path) = self.file(result).filter(|_| words.contains("O_CREAT")) else {
            return;
        };
        if !self.names.contains_key(&path) {
            let object = self.objects;
            self.objects += 1;
            self.names.insert(path.clone(), object);
            self.deeds.push(Deed::Create { path, object });
        }
    }

    fn remove(&mut self, words: &str) {
        let Some(path) = texts(words).pop().map(PathBuf::from) else {
            return;
        };
        if self.names.remove(&path).is_some() {
            self.deeds.push(Deed::Remove { path });
        }
    }

    fn rename(&mut self, words: &str) {
        let [from, to] = &texts(words)[..] else {
            panic!("two names: {words}")
        };
        let (from, to) = (PathBuf::from(from), PathBuf::from(to));
        if let Some(object) = self.names.remove(&from) {
            self.names.insert(to.clone(), object);
            self.deeds.push(Deed::Rename { from, to });
        }
    }

    fn write(&mut self, words: &str) {
        let Some(object) = self.object(words) else {
            return;
        };
        let at = words.rsplit_once(", ").expect("a place").1;
        let at = at.parse().expect("a number");
        let bytes = bytes(words).pop().expect("what is written");
        self.deeds.push(Deed::Write { object, at, bytes });
    }

    fn told(&mut self, words: &str) {
        let text = bytes(words).pop().unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let call = text
            .strip_prefix("told ")
            .and_then(|text| text.strip_suffix(".\n"));
        if let Some(call) = call {
            let call = call.parse().expect("a number");
            self.deeds.push(Deed::Told { call });
        }
    }

    fn resize(&mut self, call: &str, words: &str) {
        let Some(object) = self.object(words) else {
            return;
        };
        let last = words.rsplit_once(", ").expect("a length").1;
        let bytes = last.parse().expect("a number");
        assert!(call == "ftruncate" || words.contains(", 0, 0, "), "{words}");
        self.deeds.push(Deed::Resize { object, bytes });
    }

    fn sync(&mut self, words: &str) {
        match (self.file(words), self.object(words)) {
            (Some(path), _) if path == self.folder => self.deeds.push(Deed::SyncNames),
            (_, Some(object)) => self.deeds.push(Deed::Sync { object }),
            _ => {}
        }
    }
}

/// The quoted parts, all of them as `\x41\x42`.
fn bytes(words: &str) -> Vec<Vec<u8>> {
    words.split('"').skip(1).step_by(2).map(unhexed).collect()
}

fn unhexed(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    // What follows the last of them says that there is no such file any more.
    let byte = |digits: &str| u8::from_str_radix(digits.get(..2)?, 16).ok();
    digits.map_while(byte).collect()
}

fn texts(words: &str) -> Vec<String> {
    let texts = bytes(words).into_iter();
    let texts = texts.map(|bytes| String::from_utf8(bytes).expect("a plain name"));
    texts.collect()
}
