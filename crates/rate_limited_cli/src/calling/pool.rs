//! `--pool`: several keys of several accounts, told in a file.
//!
//! Keys are never in the file: it names the variables or the files that hold them.

use std::fs;
use std::path::{Path, PathBuf};

use rate_limited::http::Key;
use serde::Deserialize;

use crate::args::ApiArgs;
use crate::calling::key::{self, BaseUrl};
use crate::calling::preset::Preset;
use crate::refusal::Refusal;
use crate::values::limit::Limit;
use crate::values::text::quoted;

/// No pool file is longer.
const FILE_BYTES_MAX: usize = 1 << 20;

/// The members that a pool may have.
const MEMBERS_MAX: usize = 255;

/// The longest name of a member or an account.
const NAME_BYTES_MAX: usize = 64;

/// A pool as its file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    member: Vec<Written>,
}

/// A member as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    account: Option<String>,
    base_url: Option<String>,
    key_env: Option<String>,
    key_file: Option<PathBuf>,
    model: Option<String>,
    limits: Option<Vec<String>>,
}

/// A pool that can be used: all its keys are there.
#[derive(Debug)]
pub(crate) struct Pool {
    path: PathBuf,
    pub(crate) members: Vec<Member>,
    /// Each account with its limits, in the order in which the file names them first.
    pub(crate) accounts: Vec<(String, Vec<Limit>)>,
}

/// Who is in a pool and what limits them: all that can be known without a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline {
    /// Each account with its limits, in the order in which the file names them first.
    pub(crate) accounts: Vec<(String, Vec<Limit>)>,
    /// The members and their accounts, by name.
    pub(crate) members: Vec<(String, String)>,
    /// Of each member where it is and the model that it asks for, as far as the file says it.
    places: Vec<(Option<String>, Option<String>)>,
}

/// A member of a pool.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) base_url: BaseUrl,
    pub(crate) key: Option<Key>,
    /// The model that it is asked for, whatever requests say.
    pub(crate) model: Option<String>,
}

impl Pool {
    /// The pool that a file describes. What a member does not say is as the command line and the API have it.
    ///
    /// # Errors
    /// It cannot be read, is no pool, or a key that it names is not there.
    pub(crate) fn load(
        path: &Path,
        args: &ApiArgs,
        preset: Option<Preset>,
    ) -> Result<Pool, Refusal> {
        let bad = |why: String| Refusal::Pool {
            path: path.to_owned(),
            why,
        };
        let (outline, written) = Outline::read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut pool = Pool {
            path: path.to_owned(),
            members: Vec::new(),
            accounts: outline.accounts,
        };
        for (written, (name, account)) in written.into_iter().zip(outline.members) {
            let of_member = |why: String| bad(format!("member {}: {why}", quoted(&name)));
            let added = pool.add(written, account, folder, (args, preset));
            added.map_err(of_member)?;
        }
        Ok(pool)
    }

    fn add(
        &mut self,
        written: Written,
        account: String,
        folder: &Path,
        (args, preset): (&ApiArgs, Option<Preset>),
    ) -> Result<(), String> {
        if written.key_env.is_some() && written.key_file.is_some() {
            return Err("it has both key_env and key_file: keep one of them".to_owned());
        }
        let args = ApiArgs {
            base_url: written.base_url.or_else(|| args.base_url.clone()),
            key_env: written.key_env,
            // As other files do, it names those beside it.
            key_file: written.key_file.map(|file| folder.join(file)),
            ..args.clone()
        };
        let told = |refusal: Refusal| in_file(&refusal);
        let base_url = key::base_url(&args, preset).map_err(told)?;
        let key = key::key(&args, preset, &base_url).map_err(told)?;
        self.members.push(Member {
            name: written.name,
            account,
            base_url,
            key,
            model: written.model,
        });
        Ok(())
    }

    /// What the answers depend on, without secrets: where members are, and the models that they ask for.
    pub(crate) fn identity(&self) -> String {
        let members = self.members.iter();
        identity(members.map(|member| (&member.base_url, member.model.as_deref())))
    }

    /// Its name and those of its members, for people.
    pub(crate) fn shown(&self) -> String {
        let names: Vec<_> = self.members.iter().map(|member| &*member.name).collect();
        format!("the pool {} ({})", self.path.display(), names.join(", "))
    }

    /// Puts a refusal of what a member says into words of the file.
    pub(crate) fn refusal(&self, member: &Member, refusal: &Refusal) -> Refusal {
        Refusal::Pool {
            path: self.path.clone(),
            why: format!("member {}: {}", quoted(&member.name), in_file(refusal)),
        }
    }
}

/// Where members are, and the models that they ask for.
fn identity<'a>(members: impl Iterator<Item = (&'a BaseUrl, Option<&'a str>)>) -> String {
    let of_member = |(base_url, model): (&BaseUrl, Option<&str>)| {
        let url = base_url.shown().trim_end_matches('/').to_owned();
        match model {
            Some(model) => format!("{url} ({model})"),
            None => url,
        }
    };
    let mut parts: Vec<_> = members.map(of_member).collect();
    parts.sort();
    parts.dedup();
    parts.join(", ")
}

impl Outline {
    /// That of the pool that a file describes. Keys and addresses are not looked at.
    ///
    /// # Errors
    /// It cannot be read, or is no pool.
    pub(crate) fn load(path: &Path) -> Result<Outline, Refusal> {
        Outline::read(path).map(|(outline, _)| outline)
    }

    fn read(path: &Path) -> Result<(Outline, Vec<Written>), Refusal> {
        let bad = |why: String| Refusal::Pool {
            path: path.to_owned(),
            why,
        };
        let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        if text.len() > FILE_BYTES_MAX {
            return Err(bad("it is longer than 1 MB".to_owned()));
        }
        let written = parse(&text).map_err(&bad)?;
        let mut outline = Outline::default();
        for written in &written {
            let name = &written.name;
            let of_member = |why: String| bad(format!("member {}: {why}", quoted(name)));
            outline.enlist(written).map_err(of_member)?;
        }
        let members = outline.members.len();
        if !(1..=MEMBERS_MAX).contains(&members) {
            return Err(bad(format!(
                "it has {members} members, and must have 1 to {MEMBERS_MAX}: write [[member]] and its name for each"
            )));
        }
        Ok((outline, written))
    }

    /// As [`Pool::identity`], without any key.
    ///
    /// # Errors
    /// A member of which it is not known where it is.
    pub(crate) fn identity(
        &self,
        args: &ApiArgs,
        preset: Option<Preset>,
    ) -> Result<String, Refusal> {
        let url = |told: &Option<String>| {
            let base_url = told.clone().or_else(|| args.base_url.clone());
            let args = ApiArgs {
                base_url,
                ..args.clone()
            };
            key::base_url(&args, preset)
        };
        let urls = self.places.iter().map(|(told, _)| url(told));
        let urls: Vec<_> = urls.collect::<Result<_, _>>()?;
        let models = self.places.iter().map(|(_, model)| model.as_deref());
        Ok(identity(urls.iter().zip(models)))
    }

    fn enlist(&mut self, written: &Written) -> Result<(), String> {
        let account = written.account.as_ref().unwrap_or(&written.name);
        for name in [&written.name, account] {
            check_name(name)?;
        }
        if self.members.iter().any(|(name, _)| *name == written.name) {
            return Err("another member has this name".to_owned());
        }
        self.limit(account, written.limits.as_deref())?;
        self.members.push((written.name.clone(), account.clone()));
        let place = (written.base_url.clone(), written.model.clone());
        self.places.push(place);
        Ok(())
    }

    /// Takes in the limits that a member tells of its account.
    fn limit(&mut self, account: &str, told: Option<&[String]>) -> Result<(), String> {
        let parsed = told.unwrap_or_default().iter().map(|limit| limit.parse());
        let limits: Vec<Limit> = parsed
            .collect::<Result<_, _>>()
            .map_err(|error: crate::values::limit::LimitError| error.to_string())?;
        Limit::check_distinct(&limits).map_err(|error| error.to_string())?;
        match self.accounts.iter_mut().find(|(known, _)| known == account) {
            None => self.accounts.push((account.to_owned(), limits)),
            Some((_, known)) if known.is_empty() => *known = limits,
            Some((_, known)) if told.is_some() && *known != limits => {
                return Err(format!(
                    "another member of account {} tells other limits: they share one set, so tell it once",
                    quoted(account)
                ));
            }
            Some(_) => {}
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Vec<Written>, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| {
            let before = text.get(..span.start).unwrap_or_default();
            before.matches('\n').count() + 1
        });
        // The text around the fault may hold a key: it is not shown.
        let message = error.message();
        if message.starts_with("unknown field `key`") {
            return format!(
                "line {line}: a key must not stand in the file: put it into a variable or a file of its own, and \
                 name that with key_env or key_file"
            );
        }
        format!("line {line}: {message}")
    })?;
    Ok(file.member)
}

fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "the name {} is none: use 1 to {NAME_BYTES_MAX} letters, digits, '_', '-' or '.'",
        quoted(name)
    ))
}

/// What the command line calls by an option the file calls by a field.
fn in_file(refusal: &Refusal) -> String {
    let told = refusal.to_string();
    let fields = [
        ("--base-url", "base_url"),
        ("--key-env", "key_env"),
        ("--key-file PATH", "key_file"),
        ("--key-file", "key_file"),
        ("; to try without one, pass --simulate", ""),
    ];
    fields
        .iter()
        .fold(told, |told, (option, field)| told.replace(option, field))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_wrong_is_told_without_the_text_around_it() {
        for (text, expected) in [
            (
                "[[member]]\nname = \"a\"\nkey = \"sk-CANARY\"",
                "line 3: a key must not stand",
            ),
            ("[[member]]\nname = \"sk-CANARY", "line 2: "),
            ("[[member]]\nkey_env = \"A\"", "missing field `name`"),
            ("[[members]]\nname = \"a\"", "unknown field `members`"),
            (
                "[[member]]\nname = \"a\"\nlimits = \"requests=1/1m\"",
                "line 3: ",
            ),
        ] {
            let told = parse(text).expect_err(text);
            assert!(
                told.contains(expected) && !told.contains("CANARY"),
                "{told}"
            );
        }
    }
}
