//! `get -w`: a list, then its changes, from one cluster or from many.
//!
//! A watch that ends is taken up again where it stood, for as long as the server is not away for good. When it no
//! longer knows that place we list again and say so, because changes in between were missed.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::get::{Found, Query, SIDE_BY_SIDE, fetch, objects, open_by_name, queries, table_options, tabled};
use super::{Cx, Opened, printed_name};
use crate::args::Get;
use crate::discovery::Resource;
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, with_query};
use crate::output::Format;
use crate::output::table::{Part, TablePrinter};
use crate::resource::{self, Wanted};
use crate::text::Text;

/// How often in a row a server may be away: with the pauses in between some forty seconds, which a restart takes less
/// than.
const ATTEMPTS: u32 = 8;
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(10);
/// A server that says nothing for so long, not even where it stands, is asked again over a new connection.
const SILENCE: Duration = Duration::from_secs(300);

/// What a watch says.
enum News {
    /// The whole list.
    Listed(Box<Found>),
    /// One change: its kind and its table or object.
    Changed(&'static str, Value),
    /// The server is away; it is asked again.
    Away(Error),
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
    let prepared = match clusters {
        None => {
            let opened = cx.open_routed(resource::routed(&one.kind)).await?;
            let queries = queries(cx, &opened, args, format, wanted).await?;
            vec![(String::new(), Ok((opened, queries)))]
        }
        Some(names) => prepare(cx, args, format, wanted, names).await,
    };
    for (name, prepared) in prepared {
        match prepared {
            Ok((opened, queries)) => {
                let [query] = queries.as_slice() else { return Err(Error::told(Text::WatchOneType {})) };
                tasks.spawn(follow(opened, name, query.clone(), args.chunk_size, sender.clone()));
            }
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            Err(error) => {
                failures += 1;
                failed(cx, &name, &error);
            }
        }
    }
    drop(sender);
    let mut printer = Printer { args, format, fleet, table: None };
    while let Some(told) = news.recv().await {
        match told.news {
            News::Failed(error) if !fleet || error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            News::Failed(error) => {
                failures += 1;
                failed(cx, &told.cluster, &error);
            }
            News::Away(error) => {
                let why = error.lines(cx.ui.lang()).into_iter().next().unwrap_or_default();
                cx.ui.note(&Text::WatchInterrupted { resource: told.query.resource.qualified(), why });
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

/// Asks every cluster what the words mean there, side by side.
async fn prepare(
    cx: &Cx,
    args: &Get,
    format: &Format,
    wanted: &[Wanted],
    names: Vec<String>,
) -> Vec<(String, Result<(Opened, Vec<Query>)>)> {
    let asked = futures::stream::iter(names.into_iter().map(|name| async move {
        let prepared = async {
            let opened = open_by_name(cx, &name).await?;
            let queries = queries(cx, &opened, args, format, wanted).await?;
            Ok((opened, queries))
        }
        .await;
        (name, prepared)
    }));
    asked.buffered(SIDE_BY_SIDE).collect().await
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
        printer.render([Part { table, row: None, cluster, event: kind }])
    }

    fn object(&self, cluster: &str, query: &Query, kind: &str, mut object: Value) -> Result<String> {
        if matches!(self.format, Format::Name) {
            let prefix = if cluster.is_empty() { String::new() } else { format!("{cluster}/") };
            return Ok(format!("{prefix}{}\n", printed_name(&query.resource, &object)));
        }
        if !self.args.show_managed_fields
            && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("managedFields");
        }
        let whole = if self.args.output_watch_events { json!({"type": kind, "object": object}) } else { object };
        let text = self.format.object(&whole)?;
        Ok(if matches!(self.format, Format::Yaml) { format!("---\n{text}") } else { text })
    }
}

/// How much more a server that is away is waited for.
#[derive(Default)]
struct Patience {
    failures: u32,
}

impl Patience {
    /// The pause before the next attempt; `None` when the error will not pass, or has stayed too long.
    fn pause(&mut self, error: &Error) -> Option<Duration> {
        let passes = match error {
            Error::Connect { .. } => true,
            Error::Api(refused) => refused.code == 429 || refused.code >= 500,
            _ => false,
        };
        self.failures += 1;
        (passes && self.failures <= ATTEMPTS).then(|| Duration::from_millis(200 << self.failures).min(PAUSE))
    }

    fn is_new(&self) -> bool {
        self.failures == 1
    }
}

/// Lists, then follows until the receiver is gone or the server refuses.
async fn follow(opened: Opened, cluster: String, query: Query, chunk_size: u32, sender: mpsc::Sender<Told>) {
    let tell = async |news: News| {
        let told = Told { cluster: cluster.clone(), query: query.clone(), news };
        sender.send(told).await.is_ok()
    };
    // Waits out an error that passes; whether to go on.
    let endure = async |patience: &mut Patience, error: Error| {
        let Some(pause) = patience.pause(&error) else {
            tell(News::Failed(error)).await;
            return false;
        };
        if patience.is_new() && !tell(News::Away(error)).await {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    };
    let mut patience = Patience::default();
    let mut has_listed = false;
    loop {
        // A single object is followed as a list of one, so that its deletion is seen too.
        let mut version = match fetch(&opened, query.clone(), chunk_size).await {
            Ok(found) => {
                patience = Patience::default();
                has_listed = true;
                let version = version_of(&found.answer).unwrap_or_default();
                if !tell(News::Listed(Box::new(found))).await {
                    return;
                }
                version
            }
            Err(error) if has_listed => match endure(&mut patience, error).await {
                true => continue,
                false => return,
            },
            Err(error) => {
                tell(News::Failed(error)).await;
                return;
            }
        };
        loop {
            match changes(&opened, &query, &version).await {
                Ok(stream) => {
                    patience = Patience::default();
                    let mut stream = std::pin::pin!(stream);
                    let mut lost = false;
                    while let Ok(Some(event)) = tokio::time::timeout(SILENCE, stream.next()).await {
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
                Err(error) => {
                    if !endure(&mut patience, error).await {
                        return;
                    }
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
    let mut pairs: Vec<(&str, &str)> = query.parameters.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let name = query.name.as_ref().map(|name| format!("metadata.name={name}"));
    if let Some(name) = &name {
        pairs.push(("fieldSelector", name));
    }
    pairs.extend([("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", version)]);
    let path = with_query(&query.resource.path(query.namespace.as_deref()), &pairs);
    let lines = opened.endpoint.lines(&Ask::get(path).accept(query.accept)).await?;
    let (resource, accept) = (query.resource.clone(), query.accept);
    Ok(lines.filter_map(move |line| std::future::ready(event_of(line, &resource, accept))))
}

/// What a line says; nothing for an empty one.
fn event_of(line: Result<Bytes>, resource: &Resource, accept: &str) -> Option<Result<Event>> {
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
    if event["type"] != "ERROR" {
        object = tabled(resource, accept, object);
    }
    Some(Ok(match event["type"].as_str() {
        Some("ADDED") => Event::Change("ADDED", object),
        Some("MODIFIED") => Event::Change("MODIFIED", object),
        Some("DELETED") => Event::Change("DELETED", object),
        Some("BOOKMARK") => Event::Bookmark(object),
        // Whatever ended the watch, a new list puts us right.
        _ => Event::Gone,
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
    use crate::error::ApiError;

    #[test]
    fn a_server_that_is_away_is_waited_for_and_one_that_refuses_is_not() {
        let refused = |code| {
            let (status, context, request_id) = (Value::Null, None, None);
            Error::Api(Box::new(ApiError { code, status, context, request_id, retry_after: None }))
        };
        let gone = || Error::Connect { server: "s".to_owned(), source: "gone".into() };
        assert_eq!(Patience::default().pause(&refused(403)), None);
        assert_eq!(Patience::default().pause(&Error::told(Text::AnswerNotJson {})), None);
        for code in [429, 500, 503, 504] {
            assert!(Patience::default().pause(&refused(code)).is_some(), "{code}");
        }
        let mut patience = Patience::default();
        let pauses: Vec<_> = std::iter::from_fn(|| patience.pause(&gone())).collect();
        assert_eq!(pauses.len(), 8);
        assert!(pauses.iter().all(|pause| *pause <= PAUSE));
        let total: Duration = pauses.iter().sum();
        assert!((30..60).contains(&total.as_secs()), "{total:?}");
    }

    #[test]
    fn places_in_history() {
        assert_eq!(version_of(&json!({"metadata": {"resourceVersion": "5"}})).as_deref(), Some("5"));
        let row = json!({"metadata": {}, "rows": [{"object": {"metadata": {"resourceVersion": "7"}}}]});
        assert_eq!(version_of(&row).as_deref(), Some("7"));
        assert_eq!(version_of(&json!({})), None);
    }
}
