//! What is told of the tunnels, each by the name of its cluster: as it is at the moment of the question, so there is
//! nothing of clusters that are not connected.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use tunnel_hub::{Sessions, Snapshot};

/// Asks the sessions.
pub(crate) struct Tunnels(pub(crate) Sessions);

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tunnels").field(&self.0.count()).finish()
    }
}

/// The name of a label, and its value.
type Label<'a> = (&'static str, &'a str);

impl Collector for Tunnels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let tunnels = self.0.snapshots();
        let mut gauge = encoder.encode_descriptor("streams", "Open streams", None, MetricType::Gauge)?;
        for tunnel in &tunnels {
            let cluster = tunnel.cluster.as_str();
            let people = tunnel.streams.saturating_sub(tunnel.hub_streams);
            for (room, count) in [("people", people), ("hub", tunnel.hub_streams)] {
                put(&mut gauge, &[("cluster", cluster), ("room", room)], count as f64)?;
            }
        }
        let help = "Bytes since the tunnel was opened";
        let mut counter = encoder.encode_descriptor("bytes", help, None, MetricType::Counter)?;
        for tunnel in &tunnels {
            let (cluster, figures) = (tunnel.cluster.as_str(), &tunnel.figures);
            for (direction, bytes) in [("received", figures.received), ("sent", figures.sent)] {
                let labels: &[Label<'_>] = &[("cluster", cluster), ("direction", direction)];
                counter.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&bytes, None)?;
            }
        }
        let help = "Streams that stand still: what was received is not read, or what is sent is not taken";
        let mut gauge = encoder.encode_descriptor("paused_streams", help, None, MetricType::Gauge)?;
        for tunnel in &tunnels {
            let (cluster, figures) = (tunnel.cluster.as_str(), &tunnel.figures);
            for (direction, count) in [("received", figures.unread), ("sent", figures.untaken)] {
                put(&mut gauge, &[("cluster", cluster), ("direction", direction)], count as f64)?;
            }
        }
        let each = |tunnel: &Snapshot| tunnel.figures.buffered as f64;
        one(&mut encoder, &tunnels, "buffered", Unit::Bytes, "Bytes received and not read yet", each)?;
        let each = |tunnel: &Snapshot| tunnel.round_trip.as_secs_f64();
        one(&mut encoder, &tunnels, "round_trip", Unit::Seconds, "The latest round trip", each)
    }
}

/// One gauge for each tunnel.
fn one(
    encoder: &mut DescriptorEncoder<'_>,
    tunnels: &[Snapshot],
    name: &str,
    unit: Unit,
    help: &str,
    figure: impl Fn(&Snapshot) -> f64,
) -> fmt::Result {
    let mut gauge = encoder.encode_descriptor(name, help, Some(&unit), MetricType::Gauge)?;
    tunnels.iter().try_for_each(|tunnel| put(&mut gauge, &[("cluster", tunnel.cluster.as_str())], figure(tunnel)))
}

fn put(gauge: &mut MetricEncoder<'_>, labels: &[Label<'_>], value: f64) -> fmt::Result {
    gauge.encode_family(&labels)?.encode_gauge(&value)
}
