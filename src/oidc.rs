//! OpenID Connect Core 1.0 as a relying party, the way AgentConnect runs it.
