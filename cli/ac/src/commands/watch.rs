//! `get -w`: a list, then its changes, from one cluster or from many.
//!
//! A watch that ends is taken up again where it stood. When the server no longer knows that place we list again and
//! say so, because changes in between were missed.

use std::time::Duration;

use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::get::{Found, Query, fetch, objects, open_by_name, queries, table_options};
use super::{Cx, Opened, printed_name};
use crate::args::Get;
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, TABLE, with_query};
use crate::output::Format;
use crate::output::table::{Part, TablePrinter};
use crate::resource::{self, Wanted};
use crate::text::Text;

/// How often in a row a watch may fail to start.
const ATTEMPTS: u32 = 5;

/// What a watch says.
enum News {
    /// The whole list.
    Listed(Box<Found>),
    /// One change: its kind and its table or object.
    Changed(&'static str, Value),
    /// The place was lost; a list follows.
    Lost,
    /// It is over.
    Failed(Error),
}

struct Told {
    cluster: String,
    query: Query,
    news: News,
}

/// Runs `get` with `-w` or `--watch-only`.
pub async fn watch(
    cx: &Cx,
    args: &Get,
    format: &Format,
    wanted: &[Wanted],
    clusters: Option<Vec<String>>,
) -> Result<i32> {
    if matches!(format, Format::Json | Format::Yaml | Format::JsonPath(_) | Format::Columns(_)) && clusters.is_some() {
        return Err(Error::usage(Text::FleetWatchFormat {}));
    }
    let [one] = wanted else { return Err(Error::told(Text::WatchOneType {})) };
    let fleet = clusters.is_some();
    let (sender, mut news) = mpsc::channel(64);
    let mut tasks = JoinSet::new();
    let mut failures = 0;
    let mut opened = Vec::new();
    match clusters {
        None => opened.push((String::new(), cx.open_routed(resource::routed(&one.kind)).await?)),
        Some(names) => {
            for name in names {
                match open_by_name(cx, &name).await {
                    Ok(cluster) => opened.push((name, cluster)),
                    Err(error) => {
                        failures += 1;
                        failed(cx, &name, &error);
                    }
                }
            }
        }
    }
    for (name, cluster) in opened {
        let queries = match queries(cx, &cluster, args, format, wanted).await {
            Ok(queries) => queries,
            Err(error) if !fleet => return Err(error),
            Err(error) => {
                failures += 1;
                failed(cx, &name, &error);
                continue;
            }
        };
        let [query] = queries.as_slice() else { return Err(Error::told(Text::WatchOneType {})) };
        tasks.spawn(follow(cluster, name, query.clone(), args.chunk_size, sender.clone()));
    }
    drop(sender);
    let mut printer = Printer { args, format, fleet, table: None };
    while let Some(told) = news.recv().await {
        match told.news {
            News::Failed(error) if !fleet => return Err(error),
            News::Failed(error) => {
                failures += 1;
                failed(cx, &told.cluster, &error);
            }
            News::Lost => cx.ui.note(&Text::Relisting { resource: told.query.resource.qualified() }),
            News::Listed(_) if args.watch_only => {}
            News::Listed(found) => cx.ui.out(&printer.listed(&told.cluster, &found)?)?,
            News::Changed(kind, object) => {
                cx.ui.out(&printer.changed(&told.cluster, &told.query, kind, object)?)?;
            }
        }
    }
    // Every sender is gone, so every task has ended.
    while tasks.join_next().await.is_some() {}
    Ok(if failures == 0 || args.fleet.ignore_errors { 0 } else { Exit::Failure as i32 })
}

fn failed(cx: &Cx, cluster: &str, error: &Error) {
    let why = error.lines(cx.ui.lang()).into_iter().next().unwrap_or_default();
    cx.ui.err_line(&Text::ClusterFailed { cluster: cluster.to_owned(), why }.render(cx.ui.lang()));
}

struct Printer<'a> {
    args: &'a Get,
    format: &'a Format,
    fleet: bool,
    table: Option<TablePrinter>,
}

impl Printer<'_> {
    fn listed(&mut self, cluster: &str, found: &Found) -> Result<String> {
        if self.format.wants_table() {
            return Ok(self.rows(cluster, &found.query, "ADDED", &found.answer));
        }
        objects(found).into_iter().map(|object| self.object(cluster, &found.query, "ADDED", object)).collect()
    }

    fn changed(&mut self, cluster: &str, query: &Query, kind: &str, object: Value) -> Result<String> {
        match self.format.wants_table() {
            true => Ok(self.rows(cluster, query, kind, &object)),
            false => self.object(cluster, query, kind, object),
        }
    }

    fn rows(&mut self, cluster: &str, query: &Query, kind: &str, table: &Value) -> String {
        let options = table_options(self.args, self.format, &query.resource, false, self.fleet);
        let printer = self.table.get_or_insert_with(|| TablePrinter::new(options));
        printer.render([Part { table, cluster, event: kind }])
    }

    fn object(&self, cluster: &str, query: &Query, kind: &str, mut object: Value) -> Result<String> {
        if matches!(self.format, Format::Name) {
            let prefix = if cluster.is_empty() { String::new() } else { format!("{cluster}/") };
            return Ok(format!("{prefix}{}\n", printed_name(&query.resource, &object)));
        }
        if !self.args.show_managed_fields
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("managedFields");
        }
        let whole = if self.args.output_watch_events { json!({"type": kind, "object": object}) } else { object };
        let text = self.format.object(&whole)?;
        Ok(if matches!(self.format, Format::Yaml) { format!("---\n{text}") } else { text })
    }
}

/// Lists, then follows until the receiver is gone or the server refuses.
async fn follow(opened: Opened, cluster: String, query: Query, chunk_size: u32, sender: mpsc::Sender<Told>) {
    let tell =
        async |news: News| sender.send(Told { cluster: cluster.clone(), query: query.clone(), news }).await.is_ok();
    let mut failures = 0;
    loop {
        // A single object is followed as a list of one, so that its deletion is seen too.
        let mut version = match fetch(&opened, query.clone(), chunk_size).await {
            Ok(found) => {
                let version = version_of(&found.answer).unwrap_or_default();
                if !tell(News::Listed(Box::new(found))).await {
                    return;
                }
                version
            }
            Err(error) => {
                tell(News::Failed(error)).await;
                return;
            }
        };
        loop {
            match changes(&opened, &query, &version).await {
                Ok(stream) => {
                    failures = 0;
                    let mut stream = std::pin::pin!(stream);
                    let mut lost = false;
                    while let Some(event) = stream.next().await {
                        match event {
                            Ok(Event::Change(kind, object)) => {
                                version = version_of(&object).unwrap_or(version);
                                if !tell(News::Changed(kind, object)).await {
                                    return;
                                }
                            }
                            Ok(Event::Bookmark(object)) => version = version_of(&object).unwrap_or(version),
                            Ok(Event::Gone) => {
                                lost = true;
                                break;
                            }
                            // The connection broke; we know where we stood.
                            Err(_) => break,
                        }
                    }
                    if lost {
                        break;
                    }
                    // A server that ends every watch at once is not asked in a tight loop.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(Error::Api(error)) if error.code == 410 => break,
                Err(error) if failures >= ATTEMPTS || !matches!(error, Error::Connect { .. }) => {
                    tell(News::Failed(error)).await;
                    return;
                }
                Err(_) => {
                    failures += 1;
                    tokio::time::sleep(Duration::from_millis(200 << failures)).await;
                }
            }
        }
        if !tell(News::Lost).await {
            return;
        }
        // A server that forgets every place at once is not asked in a tight loop either.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

enum Event {
    Change(&'static str, Value),
    Bookmark(Value),
    Gone,
}

async fn changes(opened: &Opened, query: &Query, version: &str) -> Result<impl Stream<Item = Result<Event>> + use<>> {
    let mut pairs: Vec<(&str, &str)> = query.selectors.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let name = query.name.as_ref().map(|name| format!("metadata.name={name}"));
    if let Some(name) = &name {
        pairs.push(("fieldSelector", name));
    }
    pairs.extend([("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", version)]);
    let path = with_query(&query.resource.path(query.namespace.as_deref()), &pairs);
    let lines = opened.endpoint.lines(&Ask::get(path).accept(query.accept)).await?;
    let wants_table = query.accept == TABLE;
    Ok(lines.filter_map(move |line| async move {
        let line = match line {
            Ok(line) if line.iter().all(u8::is_ascii_whitespace) => return None,
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let event: Value = match serde_json::from_slice(&line) {
            Ok(event) => event,
            Err(error) => return Some(Err(Error::told(Text::AnswerNotJson {}).because(error))),
        };
        let mut object = event["object"].clone();
        if wants_table && object["kind"] != "Table" && event["type"] != "ERROR" {
            object = crate::output::table::table_of_objects(&object, jiff::Timestamp::now());
        }
        Some(Ok(match event["type"].as_str() {
            Some("ADDED") => Event::Change("ADDED", object),
            Some("MODIFIED") => Event::Change("MODIFIED", object),
            Some("DELETED") => Event::Change("DELETED", object),
            Some("BOOKMARK") => Event::Bookmark(object),
            // Whatever ended the watch, a new list puts us right.
            _ => Event::Gone,
        }))
    }))
}

/// The place in history that a list, an object or a one-row table stands for.
fn version_of(value: &Value) -> Option<String> {
    let row = value["rows"].as_array().and_then(|rows| rows.last()).map(|row| &row["object"]["metadata"]);
    let own = value["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
    own.or_else(|| row.and_then(|metadata| metadata["resourceVersion"].as_str())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_history() {
        assert_eq!(version_of(&json!({"metadata": {"resourceVersion": "5"}})).as_deref(), Some("5"));
        let row = json!({"metadata": {}, "rows": [{"object": {"metadata": {"resourceVersion": "7"}}}]});
        assert_eq!(version_of(&row).as_deref(), Some("7"));
        assert_eq!(version_of(&json!({})), None);
    }
}
