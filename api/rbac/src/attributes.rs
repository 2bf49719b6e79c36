//! Who asks, and what for.

/// Somebody, as bindings see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User<'a> {
    /// A service account's is `system:serviceaccount:NAMESPACE:NAME`.
    pub name: &'a str,
    /// All groups: those that come with being authenticated are not added.
    pub groups: &'a [String],
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    pub verb: &'a str,
    pub target: Target<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    Resource(Resource<'a>),
    /// A path that names no resource.
    Path(&'a str),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resource<'a> {
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub namespace: &'a str,
    /// Empty where a request names no object, as a list does.
    pub name: &'a str,
}

impl<'a> Attributes<'a> {
    pub fn resource(verb: &'a str, resource: Resource<'a>) -> Self {
        Self { verb, target: Target::Resource(resource) }
    }

    pub fn path(verb: &'a str, path: &'a str) -> Self {
        Self { verb, target: Target::Path(path) }
    }

    /// Where bindings must hold for it; empty for the whole cluster.
    pub fn namespace(&self) -> &'a str {
        match self.target {
            Target::Resource(resource) => resource.namespace,
            Target::Path(_) => "",
        }
    }
}
