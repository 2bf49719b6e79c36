//! `GET /containerLogs/...`: what there is, then, when following, what comes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jiff::{SignedDuration, Timestamp};

use crate::{
    cache::Key,
    kubelet::{
        Kubelets,
        logs::{self, Line, LogWriter, Options},
    },
    meta::uid,
};

use super::{Body, Found, Query, Refusal, status_of, text};

/// A follower looks at least this often whether its container still runs.
const LOOK: Duration = Duration::from_secs(1);

impl Kubelets {
    pub(super) fn logs(self: &Arc<Self>, found: Found, query: &Query) -> Result<Response<Body>, Refusal> {
        let options = options(query, self.cluster.clock.now())?;
        let name = &found.container.name;
        if logs::span(&found.status, options.previous).is_none() {
            let pod = crate::meta::name(&*found.pod);
            let message = match options.previous {
                true => format!("previous terminated container {name:?} in pod {pod:?} not found"),
                false => format!("container {name:?} in pod {pod:?} is waiting to start: {}", waiting_for(&found)),
            };
            return Err((StatusCode::BAD_REQUEST, message));
        }
        let chunks = stream::unfold(Reader::new(self, found, options), |mut reader| async move {
            let chunk = reader.next().await?;
            Some((Ok(Frame::data(chunk)), reader))
        });
        let mut response = text(StatusCode::OK, "");
        *response.body_mut() = StreamBody::new(chunks).boxed_unsync();
        Ok(response)
    }
}

/// What a container waits for (upstream: `validateContainerLogStatus`).
fn waiting_for(found: &Found) -> String {
    let waiting = found.status.state.as_ref().and_then(|state| state.waiting.as_ref());
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("ErrImagePull") => "image can't be pulled".to_owned(),
        Some("ImagePullBackOff") => "trying and failing to pull image".to_owned(),
        Some(reason) => reason.to_owned(),
        None => "ContainerCreating".to_owned(),
    }
}

pub(super) fn options(query: &Query, now: Timestamp) -> Result<Options, Refusal> {
    let since_seconds: Option<i64> = query.number("sinceSeconds")?;
    let since_time: Option<Timestamp> = query.number("sinceTime")?;
    let tail: Option<i64> = query.number("tailLines")?;
    let since = |seconds| now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
    Ok(Options {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail: tail.and_then(|tail| usize::try_from(tail).ok()),
        since: since_seconds.map(since).or(since_time),
        limit: query.number("limitBytes")?,
    })
}

pub(super) struct Reader {
    kubelets: Arc<Kubelets>,
    key: Key,
    found: Found,
    writer: LogWriter,
    options: Options,
    left: usize,
    begun: bool,
    /// How many lines of the moment `last` were printed.
    printed: usize,
    last: Option<Timestamp>,
}

impl Reader {
    pub(super) fn new(kubelets: &Arc<Kubelets>, found: Found, options: Options) -> Self {
        Self {
            writer: kubelets.log_of(&found.pod, &found.container.name),
            kubelets: kubelets.clone(),
            key: Key::of(&*found.pod),
            found,
            left: options.limit.unwrap_or(usize::MAX),
            options,
            printed: 0,
            begun: false,
            last: None,
        }
    }

    /// The next chunk; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let mut changes = self.writer.subscribe();
        loop {
            let over = !self.refresh();
            let lines = self.fresh_lines().await;
            let first = !self.begun;
            self.begun = true;
            if !lines.is_empty() {
                return Some(self.print(&lines));
            }
            if over || !self.options.follow {
                // An empty log is an empty body, not a missing one.
                return first.then(Bytes::new);
            }
            // Woken by a new line or by the clock; both lead to another look.
            let _ = tokio::time::timeout(LOOK, changes.changed()).await;
        }
    }

    /// Looks at the container again; `false` if its run is over.
    fn refresh(&mut self) -> bool {
        let Some(pod) = self.kubelets.view(&self.key) else { return false };
        if uid(&*pod) != uid(&*self.found.pod) {
            return false;
        }
        if let Some(current) = status_of(&pod, &self.found.container.name).cloned() {
            let runs = current.restart_count - self.found.status.restart_count;
            if runs != 0 && !self.options.previous {
                // The run is over that was being read; how it ended is its successor's to tell.
                if runs == 1 {
                    self.found.status.state = current.last_state;
                }
                return false;
            }
            self.found.status = current;
        }
        self.found.pod = pod;
        logs::span(&self.found.status, self.options.previous).is_some_and(|span| span.end.is_none())
    }

    async fn fresh_lines(&mut self) -> Vec<Line> {
        let Some(span) = logs::span(&self.found.status, self.options.previous) else { return Vec::new() };
        let run = logs::run(&self.found.status, self.options.previous);
        let course = self.kubelets.course(&self.found.pod, &self.found.container, run).await;
        let kubelets = self.kubelets.clone();
        let is_program = move |image: &str| kubelets.is_program(image);
        let now = self.kubelets.cluster.clock.now();
        let (pod, container) = (&self.found.pod, &self.found.container);
        let all = logs::compose(pod, container, span, &self.writer, now, course.as_deref(), &is_program);
        let fresh = match self.last {
            None => logs::select(all, &self.options),
            Some(last) => {
                let same = all.iter().filter(|line| line.at == last).count().min(self.printed);
                let mut skipped = 0;
                all.into_iter()
                    .filter(|line| {
                        let seen = line.at < last || (line.at == last && skipped < same);
                        skipped += usize::from(seen && line.at == last);
                        !seen
                    })
                    .collect()
            }
        };
        if let Some(newest) = fresh.iter().map(|line| line.at).max() {
            let again = if self.last == Some(newest) { self.printed } else { 0 };
            self.printed = again + fresh.iter().filter(|line| line.at == newest).count();
            self.last = Some(newest);
        } else if self.last.is_none() {
            // Nothing wanted of what there was (`tailLines=0`): go on from here.
            (self.last, self.printed) = (Some(now), 0);
        }
        fresh
    }

    fn print(&mut self, lines: &[Line]) -> Bytes {
        let mut chunk: Vec<u8> = lines.iter().flat_map(|line| logs::print(line, &self.options).into_bytes()).collect();
        chunk.truncate(self.left);
        self.left -= chunk.len();
        chunk.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let now: Timestamp = "2024-01-01T00:01:00Z".parse().unwrap();
        let query = Query::parse("follow=true&tailLines=5&sinceSeconds=60&limitBytes=100&timestamps=1");
        let expected = Options {
            follow: true,
            previous: false,
            timestamps: true,
            tail: Some(5),
            since: Some("2024-01-01T00:00:00Z".parse().unwrap()),
            limit: Some(100),
        };
        assert_eq!(options(&query, now).unwrap(), expected);
        let all = options(&Query::parse("sinceSeconds=9223372036854775807"), now).unwrap();
        assert_eq!(all.since, Some(Timestamp::MIN));
        assert_eq!(options(&Query::parse("tailLines=many"), now).unwrap_err().0, StatusCode::BAD_REQUEST);
    }
}
