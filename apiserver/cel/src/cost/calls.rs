//! What calls cost (cel-go: `checker.functionCost`; upstream: `library/cost.go`, `ext` of cel-go).

use super::range::{Range, scaled};
use super::{CHECK_COST, Coster, Entries, LIST_COST, MESSAGE_COST, Node, Path, REGEX_FACTOR, STRING_FACTOR};
use crate::library::format::{MAX_FORMAT_SIZE, MAX_REGEX_SIZE};
use crate::syntax::ast::{Expr, Kind};
use crate::types::Type;
use crate::value::Val;

/// Cost, and the size of the result where it is known.
type Estimate = (Range, Option<Range>);

const ONE: Range = Range::fixed(1);

fn text_cost(size: Range) -> Range {
    size.scaled(STRING_FACTOR)
}

impl<'a> Coster<'a> {
    pub(super) fn overload_cost(
        &mut self,
        expr: &Expr,
        function: &str,
        overload: &str,
        target: Option<&Node<'a>>,
        args: &[Node<'a>],
        costs: &[Range],
    ) -> Estimate {
        let sum = costs.iter().fold(Range::default(), |sum, cost| sum + *cost);
        let special = self
            .extension_cost(overload, target, args)
            .or_else(|| self.kubernetes_cost(function, overload, target, args));
        if let Some((cost, size)) = special {
            return (cost + sum, size);
        }
        match (overload, costs) {
            ("logical_and" | "logical_or", [left, right]) => {
                return (Range { min: left.min, max: (*left + *right).max }, None);
            }
            ("conditional", [condition, then, otherwise]) => {
                let size = args[1].size_or_unknown().union(args[2].size_or_unknown());
                self.join_entries(expr, &args[1], &args[2]);
                return (*condition + then.union(*otherwise), Some(size));
            }
            _ => {}
        }
        let (cost, size) = self.standard_cost(expr, overload, target, args).unwrap_or((ONE, None));
        (cost + sum, size)
    }

    /// The result has the entries of either argument.
    fn join_entries(&mut self, expr: &Expr, a: &Node<'_>, b: &Node<'_>) {
        let entries = |node: &Node<'_>| node.expr.and_then(|expr| self.entry_sizes(expr));
        if let (Some(a), Some(b)) = (entries(a), entries(b)) {
            let joined = Entries { is_list: a.is_list, key: a.key.union(b.key), value: a.value.union(b.value) };
            self.entries.insert(expr.id, joined);
        }
    }

    fn standard_cost(
        &mut self,
        expr: &Expr,
        overload: &str,
        target: Option<&Node<'a>>,
        args: &[Node<'a>],
    ) -> Option<Estimate> {
        let only = |cost: Range| Some((cost, None));
        match (overload, target, args) {
            ("string_format", Some(target), _) => only(text_cost(target.size_or_unknown())),
            ("string_to_bytes", _, [arg]) => {
                let size = arg.size_or_unknown();
                // Upstream lets this wrap around for sizes that are not known.
                Some((text_cost(size), Some(Range { min: size.min, max: size.max.wrapping_mul(4) })))
            }
            ("bytes_to_string", _, [arg]) => {
                let size = arg.size_or_unknown();
                Some((text_cost(size), Some(Range { min: size.min / 4, max: size.max })))
            }
            ("strings_quote", _, [arg]) => {
                let size = arg.size_or_unknown();
                let max = size.max.wrapping_mul(2).wrapping_add(2);
                Some((text_cost(size), Some(Range { min: size.min.saturating_add(2), max })))
            }
            ("starts_with_string" | "ends_with_string", _, [arg]) => only(text_cost(arg.size_or_unknown())),
            ("in_list", _, [_, list]) => only(list.size_or_unknown()),
            ("matches_string", Some(target), [pattern]) => {
                let text = text_cost(target.size_or_unknown() + ONE);
                only(text.times(pattern.size_or_unknown().scaled(REGEX_FACTOR)))
            }
            ("contains_string", Some(target), [part]) => {
                only(text_cost(target.size_or_unknown()).times(text_cost(part.size_or_unknown())))
            }
            ("add_string" | "add_bytes" | "add_list", _, [a, b]) => {
                let size = a.size_or_unknown() + b.size_or_unknown();
                self.join_entries(expr, a, b);
                let cost = if overload == "add_list" { ONE } else { text_cost(size) };
                Some((cost, Some(size)))
            }
            (
                "less_string"
                | "greater_string"
                | "less_equals_string"
                | "greater_equals_string"
                | "less_bytes"
                | "greater_bytes"
                | "less_equals_bytes"
                | "greater_equals_bytes"
                | "equals"
                | "not_equals",
                _,
                [a, b],
            ) => {
                let max = a.size_or_unknown().max.min(b.size_or_unknown().max);
                only(text_cost(Range { min: max.min(1), max }))
            }
            _ => None,
        }
    }

    /// The size of an argument by all means, as upstream's own libraries ask for it.
    fn any_size(&self, node: &Node<'_>) -> Range {
        node.size.or_else(|| self.declared_size(&node.path)).unwrap_or(Range::UNKNOWN)
    }

    /// The items of a list, as an argument.
    fn items(&self, list: &Node<'a>) -> Option<Node<'a>> {
        let type_ = list.type_.parameters().first().map(|type_| (*type_).clone())?;
        let path = match &list.path {
            Path::None => Path::None,
            Path::Lost => Path::Lost,
            Path::Known(known) => Self::step(known, "@items"),
        };
        Some(Node { expr: None, path, type_, size: None })
    }

    fn kubernetes_cost(
        &self,
        function: &str,
        overload: &str,
        target: Option<&Node<'a>>,
        args: &[Node<'a>],
    ) -> Option<Estimate> {
        let only = |cost: Range| Some((cost, None));
        match (function, target, args) {
            ("check", _, _) => only(Range::fixed(CHECK_COST)),
            ("fieldSelector" | "labelSelector", _, [selector]) => only(selector_cost(self.any_size(selector))),
            ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf", Some(target), _) => {
                let size = self.any_size(target);
                let Some(item) = self.items(target) else { return only(text_cost(size)) };
                let each = match item.type_ {
                    Type::String | Type::Bytes => ONE + text_cost(self.any_size(&item)),
                    _ => ONE,
                };
                only(size.times(each))
            }
            ("url", _, [text]) => {
                let size = self.any_size(text);
                Some((text_cost(size), Some(size)))
            }
            ("lowerAscii" | "upperAscii" | "substring" | "trim", Some(target), _) => {
                let size = self.any_size(target);
                Some((text_cost(size), Some(size)))
            }
            ("replace", Some(target), [old, new, ..]) => {
                let size = self.any_size(target);
                let result = replaced_size(size, self.any_size(old), self.any_size(new));
                Some((size.scaled(2.0 * STRING_FACTOR), Some(result)))
            }
            ("split", Some(target), _) => {
                let size = self.any_size(target);
                let limit = args.get(1).and_then(|arg| match arg.expr.map(|expr| &expr.kind) {
                    #[expect(clippy::cast_sign_loss, reason = "a negative limit is none, which the largest number is")]
                    Some(Kind::Literal(Val::Int(limit))) => Some(*limit as u64),
                    _ => None,
                });
                let result = Range { min: 0, max: limit.unwrap_or(size.max) };
                Some((size.scaled(2.0 * STRING_FACTOR), Some(result)))
            }
            ("join", Some(target), _) => {
                let count = self.any_size(target);
                let mut size = Range::default();
                if let Some(item) = self.items(target) {
                    size = count.times(self.any_size(&item));
                }
                if let Some(separator) = args.first() {
                    let gaps = Range { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
                    size = size + self.any_size(separator).times(gaps);
                }
                Some((text_cost(size), Some(size)))
            }
            ("find" | "findAll", Some(target), [pattern, ..]) => {
                let size = self.any_size(target);
                let cost = text_cost(size + ONE).times(self.any_size(pattern).scaled(REGEX_FACTOR));
                Some((cost, Some(Range { min: 0, max: size.max })))
            }
            ("ip", _, _) if overload == "cidr_ip" => only(ONE),
            ("cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver", _, [text, ..]) => {
                only(text_cost(self.any_size(text)))
            }
            ("ip.isCanonical", _, [text]) => only(self.any_size(text).scaled(2.0 * STRING_FACTOR)),
            ("containsIP" | "containsCIDR", _, [other]) => {
                let address = Range { min: 4, max: 16 };
                let mut cost = text_cost(address + address);
                if function == "containsCIDR" {
                    cost = cost + text_cost(address) + ONE;
                }
                if ["cidr_contains_ip_string", "cidr_contains_cidr_string"].contains(&overload) {
                    cost = cost + text_cost(self.any_size(other));
                }
                only(cost)
            }
            ("validate", _, [text, ..]) => only(text_cost(self.any_size(text)).scaled(MAX_REGEX_SIZE * REGEX_FACTOR)),
            _ if super::takes_one(function) => only(ONE),
            ("_==_", _, [a, b]) if a.type_ == b.type_ => match a.type_.name() {
                "net.IP" | "net.CIDR" => only(ONE),
                "kubernetes.NamedFormat" => only(text_cost(Range { min: 1, max: MAX_FORMAT_SIZE })),
                "kubernetes.URL" => {
                    let max = b.size.map_or(1, |size| size.max);
                    only(text_cost(Range { min: 1, max }))
                }
                name if name.starts_with("kubernetes.") => only(ONE),
                _ => None,
            },
            _ => None,
        }
    }

    /// cel-go's `ext.Sets` and `ext.Lists`.
    fn extension_cost(&self, overload: &str, target: Option<&Node<'a>>, args: &[Node<'a>]) -> Option<Estimate> {
        let allocating =
            |factor: f64, size: Range| Some((size.scaled(factor) + ONE + Range::fixed(LIST_COST), Some(size)));
        match (overload, target, args) {
            ("list_sets_contains_list" | "list_sets_intersects_list" | "list_sets_equivalent_list", _, [a, b]) => {
                let factor = if overload == "list_sets_equivalent_list" { 2.0 } else { 1.0 };
                Some((self.any_size(a).times(self.any_size(b)).scaled(factor) + ONE, None))
            }
            ("list_slice", Some(target), [start, end]) => {
                let size = self.any_size(target);
                let (start, end) = (int_or(start, 0), int_or(end, size.max));
                allocating(1.0, Range::fixed(end.wrapping_sub(start)))
            }
            ("lists_range", None, [count]) => allocating(1.0, Range::fixed(int_or(count, u64::MAX))),
            ("list_reverse", Some(target), []) => allocating(1.0, self.any_size(target)),
            ("list_flatten" | "list_flatten_int", Some(target), _) => {
                #[expect(clippy::cast_precision_loss, reason = "depths are small")]
                let depth = args.first().map_or(1.0, |depth| int_or(depth, u64::MAX) as f64);
                allocating(depth, self.any_size(target))
            }
            ("list_distinct", Some(target), []) => {
                let size = self.any_size(target);
                allocating(2.0, size.times(size))
            }
            _ if overload.ends_with("_sort") || overload.ends_with("_sortByAssociatedKeys") => {
                let list = args.first().or(target)?;
                let size = self.any_size(list);
                let texts = overload.starts_with("list_string_") || overload.starts_with("list_bytes_");
                allocating(if texts { 2.0 + STRING_FACTOR } else { 2.0 }, size.times(size))
            }
            _ => None,
        }
    }
}

impl Node<'_> {
    fn size_or_unknown(&self) -> Range {
        self.size.unwrap_or(Range::UNKNOWN)
    }
}

/// A number that is written out, or what to assume.
fn int_or(node: &Node<'_>, otherwise: u64) -> u64 {
    match node.expr.map(|expr| &expr.kind) {
        Some(Kind::Literal(Val::Int(int))) => u64::try_from(*int).unwrap_or(0),
        _ => otherwise,
    }
}

/// A selector is parsed into a list of requirements, each of at least two characters.
pub(crate) fn selector_cost(length: Range) -> Range {
    let each = f64::from(u32::try_from(LIST_COST + MESSAGE_COST).unwrap_or(u32::MAX));
    let requirements = Range { min: scaled(length.min, 0.5), max: scaled(length.max, 0.5) };
    Range::fixed(LIST_COST) + text_cost(length) + requirements.scaled(each)
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes")]
fn replaced_size(size: Range, old: Range, new: Range) -> Range {
    let (mut count, mut kept) = (Range::default(), Range::default());
    let often = |size: u64, part: u64| (size as f64 / part as f64).ceil() as u64;
    if old.min == 0 {
        count.max = size.max.saturating_add(1);
        kept.max = size.max;
    } else if new.max <= old.min {
        kept.max = size.max;
    } else {
        count.max = often(size.max, old.min);
    }
    if old.max == 0 {
        count.min = size.min.saturating_add(1);
        kept.min = size.min;
    } else if old.max <= new.min {
        kept.min = size.min;
    } else {
        count.min = often(size.min, old.max);
    }
    count.times(new) + kept
}
