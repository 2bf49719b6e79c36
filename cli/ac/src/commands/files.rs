//! Objects from files, folders and standard input.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::text::Text;
use crate::ui::text_from_stdin;

/// No sensible manifest is larger.
const MAX_STDIN: u64 = 64 * 1024 * 1024;

/// An object and where it was written.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file, or `STDIN`.
    pub source: String,
    /// The object.
    pub object: Value,
}

/// Whether some of the names are addresses, which only kubectl fetches.
pub fn has_address(names: &[String]) -> bool {
    names.iter().any(|name| name.starts_with("http://") || name.starts_with("https://"))
}

/// Everything in the named places, lists taken apart, in order.
pub fn read(names: &[String], recursive: bool) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for name in names {
        if name == "-" {
            let text = text_from_stdin(MAX_STDIN, "64 MiB")?;
            parse(&text, "STDIN", &mut documents)?;
            continue;
        }
        let path = Path::new(name);
        if !path.exists() {
            return Err(Error::told(Text::NoSuchPath { path: name.clone() }));
        }
        let files = if path.is_dir() { in_folder(path, recursive)? } else { vec![path.to_owned()] };
        for file in files {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Error::told(Text::CouldNotReadFile { path: shown.clone() }).because(error))?;
            parse(&text, &shown, &mut documents)?;
        }
    }
    if documents.is_empty() {
        return Err(Error::told(Text::NoObjects {}));
    }
    Ok(documents)
}

fn in_folder(path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    let failed =
        |error: std::io::Error| Error::told(Text::CouldNotReadFile { path: path.display().to_string() }).because(error);
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                files.extend(in_folder(&entry, true)?);
            }
        } else if entry.extension().is_some_and(|ext| ["json", "yaml", "yml"].iter().any(|known| ext == *known)) {
            files.push(entry);
        }
    }
    Ok(files)
}

fn parse(text: &str, source: &str, documents: &mut Vec<Document>) -> Result<()> {
    let parsed = lib_yaml::parse_all(text)
        .map_err(|error| Error::told(Text::NotYaml { path: source.to_owned() }).because(error))?;
    for object in parsed {
        flatten(object, source, documents)?;
    }
    Ok(())
}

fn flatten(object: Value, source: &str, documents: &mut Vec<Document>) -> Result<()> {
    let missing = |field: &str| Error::told(Text::FieldMissing { path: source.to_owned(), field: field.to_owned() });
    let kind = object["kind"].as_str().filter(|kind| !kind.is_empty()).ok_or_else(|| missing("kind"))?;
    object["apiVersion"].as_str().filter(|version| !version.is_empty()).ok_or_else(|| missing("apiVersion"))?;
    match (kind.ends_with("List"), object["items"].as_array()) {
        (true, Some(items)) => items.iter().try_for_each(|item| flatten(item.clone(), source, documents)),
        _ => {
            documents.push(Document { source: source.to_owned(), object });
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_files_documents_and_lists() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("b.yaml", "# only a comment\n---\nkind: A\napiVersion: v1\n---\nkind: B\napiVersion: v1\n---\n");
        write(
            "a.json",
            "{\"kind\": \"List\", \"apiVersion\": \"v1\", \"items\": [{\"kind\": \"C\", \"apiVersion\": \"v1\"}]}",
        );
        write("notes.txt", "kind: not read");
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        write("sub/d.yml", "kind: D\napiVersion: v1\n");
        let kinds = |recursive| -> String {
            let names = [dir.path().display().to_string()];
            read(&names, recursive).unwrap().iter().map(|d| d.object["kind"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(kinds(false), "CAB");
        assert_eq!(kinds(true), "CABD");
    }

    #[test]
    fn what_is_wrong_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.yaml");
        std::fs::write(&path, "metadata: {}\n").unwrap();
        let error = read(&[path.display().to_string()], false).unwrap_err();
        assert!(error.to_string().contains("x.yaml") && error.to_string().contains("kind"), "{error}");
        assert!(read(&["/nowhere/at/all".to_owned()], false).is_err());
    }
}
