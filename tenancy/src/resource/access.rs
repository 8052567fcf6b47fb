//! `access`: who may use an API or a set of tools. The domain's own type holds it: it refers to nothing that could prove wrong later.
