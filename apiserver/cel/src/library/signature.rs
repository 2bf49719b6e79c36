//! Reads the signatures of the libraries: `list(A).(A) -> int`.

use crate::types::Type;

pub(super) struct Signature {
    pub(super) member: bool,
    pub(super) params: Vec<Type>,
    pub(super) result: Type,
    pub(super) has_variables: bool,
}

pub(super) fn parse(text: &str) -> Option<Signature> {
    let mut reader = Reader { rest: text, has_variables: false };
    let mut params = Vec::new();
    let member = !reader.rest.starts_with('(');
    if member {
        params.push(reader.type_()?);
        reader.sign(".")?;
    }
    params.extend(reader.types()?);
    reader.sign(" -> ")?;
    let result = reader.type_()?;
    reader.rest.is_empty().then_some(Signature { member, params, result, has_variables: reader.has_variables })
}

struct Reader<'a> {
    rest: &'a str,
    has_variables: bool,
}

impl Reader<'_> {
    fn sign(&mut self, sign: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(sign)?;
        Some(())
    }

    /// Types in parentheses.
    fn types(&mut self) -> Option<Vec<Type>> {
        self.sign("(")?;
        let mut types = Vec::new();
        if self.sign(")").is_some() {
            return Some(types);
        }
        loop {
            types.push(self.type_()?);
            if self.sign(")").is_some() {
                return Some(types);
            }
            self.sign(", ")?;
        }
    }

    fn type_(&mut self) -> Option<Type> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        let mut inner = || -> Option<std::vec::IntoIter<Type>> { Some(self.types()?.into_iter()) };
        Some(match name {
            "list" => Type::list(inner()?.next()?),
            "map" => {
                let mut types = inner()?;
                Type::map(types.next()?, types.next()?)
            }
            "optional" => Type::optional(inner()?.next()?),
            "type" => Type::Type(Some(inner()?.next()?.into())),
            "dyn" => Type::Dyn,
            "null" => Type::Null,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "duration" => Type::Duration,
            "timestamp" => Type::Timestamp,
            "IP" => Type::Abstract("net.IP"),
            "CIDR" => Type::Abstract("net.CIDR"),
            "Quantity" => Type::opaque("kubernetes.Quantity"),
            "URL" => Type::opaque("kubernetes.URL"),
            "Semver" => Type::opaque("kubernetes.Semver"),
            "Format" => Type::opaque("kubernetes.NamedFormat"),
            "Authorizer" => Type::opaque("kubernetes.authorization.Authorizer"),
            "PathCheck" => Type::opaque("kubernetes.authorization.PathCheck"),
            "GroupCheck" => Type::opaque("kubernetes.authorization.GroupCheck"),
            "ResourceCheck" => Type::opaque("kubernetes.authorization.ResourceCheck"),
            "Decision" => Type::opaque("kubernetes.authorization.Decision"),
            variable if variable.len() == 1 && variable.as_bytes()[0].is_ascii_uppercase() => {
                self.has_variables = true;
                Type::Param(variable.into())
            }
            _ => return None,
        })
    }
}
