//! `tar` as far as `kubectl cp` needs it: packs files to the output, and keeps what comes in on the input.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::volumes::Refusal;

use super::{Environment, Io, commands::absolute, files::ROOM};

const BLOCK: usize = 512;
/// An archive is longer than what is in it: by its headers, and by the blocks that it is filled up to.
const ARCHIVE: usize = 4 * ROOM;

pub(super) async fn run(args: &[String], environment: &mut Environment, io: &mut Io) -> i32 {
    let outcome = match Wish::parse(args) {
        Ok(wish) if wish.extract => extract(&wish, environment, io).await,
        Ok(wish) => create(&wish, environment, io).await,
        Err(what) => Err(what),
    };
    match outcome {
        Ok(()) => 0,
        Err(what) => {
            io.complain(format!("tar: {what}\n")).await;
            1
        }
    }
}

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    extract: bool,
    directory: Option<String>,
    paths: Vec<String>,
}

impl Wish {
    fn parse(args: &[String]) -> Result<Self, String> {
        let (mut wish, mut mode, mut file) = (Self::default(), None, None);
        let mut rest = args.iter();
        let mut first = true;
        while let Some(argument) = rest.next() {
            let letters = argument.strip_prefix('-').or((first && !argument.starts_with('-')).then_some(argument));
            first = false;
            match letters {
                Some("") | None => wish.paths.push(argument.clone()),
                // Owners and permissions mean nothing here.
                Some(long) if long.starts_with('-') => {}
                Some(letters) => {
                    for letter in letters.chars() {
                        match letter {
                            'c' | 'x' => mode = Some(letter),
                            'f' => file = rest.next(),
                            'C' => wish.directory = rest.next().cloned(),
                            'm' | 'o' | 'p' | 'v' | 'h' => {}
                            other => {
                                return Err(format!("unrecognized option: {other} (this is a simulated container)"));
                            }
                        }
                    }
                }
            }
        }
        wish.extract = mode.ok_or("must specify one of -c, -x")? == 'x';
        if file.map(String::as_str) != Some("-") {
            return Err("only the file - is known in a simulated container".to_owned());
        }
        Ok(wish)
    }

    /// A path as the directory makes it.
    fn resolve(&self, path: &str, environment: &Environment) -> String {
        match &self.directory {
            Some(directory) if !path.starts_with('/') => absolute(&format!("{directory}/{path}"), environment),
            _ => absolute(path, environment),
        }
    }
}

async fn create(wish: &Wish, environment: &Environment, io: &mut Io) -> Result<(), String> {
    let mut archive = Vec::new();
    for path in &wish.paths {
        let full = wish.resolve(path, environment);
        let below = format!("{}/", full.trim_end_matches('/'));
        let files: Vec<_> =
            environment.all_files().into_iter().filter(|(name, _)| *name == full || name.starts_with(&below)).collect();
        if files.is_empty() {
            return Err(format!("{path}: No such file or directory"));
        }
        if path.starts_with('/') {
            io.complain("tar: Removing leading `/' from member names\n").await;
        }
        for (name, content) in files {
            let member = format!("{path}{}", &name[full.len()..]);
            pack(member.trim_start_matches('/'), &content, &mut archive)?;
        }
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    io.write(archive.into()).await;
    Ok(())
}

async fn extract(wish: &Wish, environment: &mut Environment, io: &mut Io) -> Result<(), String> {
    let mut archive = Vec::new();
    if let Some(stdin) = &mut io.stdin {
        while let Some(bytes) = stdin.recv().await {
            if archive.len() + bytes.len() > ARCHIVE {
                return Err(full());
            }
            archive.extend_from_slice(&bytes);
        }
    }
    for (name, content) in unpack(&archive)? {
        let path = wish.resolve(name.trim_start_matches('/'), environment);
        environment.write(&path, content).map_err(|why| match why {
            Refusal::Full => full(),
            why => format!("can't open '{name}': {why}"),
        })?;
    }
    Ok(())
}

fn full() -> String {
    format!("write error: {}", Refusal::Full)
}

/// Adds a file as ustar has it.
fn pack(name: &str, content: &[u8], archive: &mut Vec<u8>) -> Result<(), String> {
    let mut header = [0; BLOCK];
    // The first part of a long name has a field of its own; the two meet at a slash.
    let (prefix, rest) = match name.len() {
        0..=100 => ("", name),
        _ => name
            .match_indices('/')
            .map(|(at, _)| (&name[..at], &name[at + 1..]))
            .find(|(prefix, rest)| prefix.len() <= 155 && rest.len() <= 100)
            .ok_or_else(|| format!("{name}: file name is too long"))?,
    };
    let mut field = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(0, rest);
    field(100, "0000644\0");
    field(108, "0000000\0");
    field(116, "0000000\0");
    field(124, &format!("{:011o}\0", content.len()));
    field(136, "00000000000\0");
    field(148, "        ");
    field(156, "0");
    field(257, "ustar\x0000");
    field(345, prefix);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

/// The plain files of an archive; directories are what files lie in.
fn unpack(archive: &[u8]) -> Result<BTreeMap<String, Bytes>, String> {
    let damaged = || "this does not look like a tar archive".to_owned();
    let mut files = BTreeMap::new();
    // A long name comes as the content of an entry before the file's own.
    let mut long_name = None;
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return Ok(files);
        }
        let size = size(&header[124..136]).ok_or_else(damaged)?;
        let content = after.get(..size).ok_or_else(damaged)?;
        rest = after.get(size.next_multiple_of(BLOCK)..).unwrap_or_default();
        match header[156] {
            b'0' | 0 => {
                let name = long_name.take().unwrap_or_else(|| short_name(header));
                files.insert(name, Bytes::copy_from_slice(content));
            }
            b'x' => long_name = pax_path(content),
            b'L' => long_name = Some(text(content)),
            _ => long_name = None,
        }
    }
    if rest.is_empty() { Ok(files) } else { Err(damaged()) }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn size(field: &[u8]) -> Option<usize> {
    usize::from_str_radix(text(field).trim(), 8).ok().filter(|size| *size <= ARCHIVE)
}

fn short_name(header: &[u8]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    let ustar = header[257..262] == *b"ustar";
    if ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// Records are `LENGTH KEY=VALUE`, one a line.
fn pax_path(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    text.lines().find_map(|line| line.split_once(" path=").map(|(_, path)| path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Result<Wish, String> {
        Wish::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_kubectl_asks_for() {
        let paths = vec!["/etc/config".to_owned()];
        assert_eq!(wish("cf - /etc/config"), Ok(Wish { extract: false, directory: None, paths }));
        let tmp = Some("/tmp".to_owned());
        let expect = Wish { extract: true, directory: tmp, paths: vec![] };
        assert_eq!(wish("-xmf - -C /tmp"), Ok(expect));
        assert!(wish("--no-same-permissions --no-same-owner -xmf -").unwrap().extract);
        assert!(wish("-xzf -").is_err());
        assert!(wish("-xf /tmp/a.tar").is_err());
        assert!(wish("-f -").is_err());
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        let mut archive = Vec::new();
        for (name, content) in [("a/b.txt", "hello"), ("empty", ""), (long.as_str(), &*"x".repeat(600))] {
            pack(name, content.as_bytes(), &mut archive).unwrap();
        }
        let whole = [archive.as_slice(), &[0; 2 * BLOCK]].concat();
        let files = unpack(&whole).unwrap();
        assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), ["a/b.txt", &*long, "empty"]);
        assert_eq!(files["a/b.txt"], "hello");
        assert_eq!(files[&long].len(), 600);
        assert!(pack(&"n".repeat(101), b"", &mut archive).is_err());
    }

    #[test]
    fn names_of_any_length() {
        let mut archive = Vec::new();
        pack("header", b"30 path=a/rather/long/one.txt\n", &mut archive).unwrap();
        archive[156] = b'x';
        pack("a/rather", b"hello", &mut archive).unwrap();
        assert_eq!(unpack(&archive).unwrap()["a/rather/long/one.txt"], "hello");
    }

    #[test]
    fn damage_is_an_error() {
        assert!(unpack(&[1; BLOCK]).is_err());
        assert!(unpack(b"short").is_err());
        let mut archive = Vec::new();
        pack("a", &[1; 600], &mut archive).unwrap();
        assert!(unpack(&archive[..BLOCK + 10]).is_err());
        archive[124..136].copy_from_slice(b"77777777777\0");
        assert!(unpack(&archive).is_err());
        assert_eq!(unpack(b""), Ok(BTreeMap::new()));
    }
}
