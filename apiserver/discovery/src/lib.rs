//! Discovery and OpenAPI documents.
