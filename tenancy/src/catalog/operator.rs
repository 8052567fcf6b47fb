//! The operator's resources: what was read last, and what was good last (S10).
//!
//! A resource that is broken keeps its own last good version. So does one that was last seen in a file that now has an error: whether it
//! was deleted or merely cannot be read is not known.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{
    slot::{Seen, Slots, Uncertain},
    standing::Wanted,
};
use crate::{
    fault::{Fault, Severity},
    grant::TenantGrant,
    judge::{plan, platform, tenant},
    limit::RateLimit,
    name::{Namespace, PlanName, ResourceName, TenantName},
    place::{At, Place},
    platform::Platform,
    resource::{self, Resource, plan::PlanManifest, platform::PlatformManifest, tenant::TenantManifest},
    source::{Content, SourceFile},
    tenant::Plan,
    yaml::Bounds,
};

/// Everything that the operator wrote.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    files: BTreeMap<Arc<str>, File>,
    platforms: Slots<ResourceName, PlatformManifest, Governing>,
    plans: Slots<PlanName, PlanManifest, At<Arc<Plan>>>,
    tenants: Slots<TenantName, TenantManifest, Arc<TenantGrant>>,
    /// The one that governs: kept when every Platform is broken or gone.
    governing: Option<Governing>,
    /// Faults of files, and between resources.
    faults: Vec<Fault>,
    /// A file of which it is not known what it says, if there is one.
    broken: Option<Arc<str>>,
}

/// A Platform that is good, by name, with the place of its global limit.
#[derive(Debug, Clone)]
struct Governing {
    name: ResourceName,
    platform: Arc<Platform>,
    total: At<RateLimit>,
}

/// A file as it was read last.
#[derive(Debug)]
struct File {
    digest: [u8; 32],
    manifests: Vec<Manifest>,
    faults: Vec<Fault>,
}

#[derive(Debug)]
enum Manifest {
    Platform(Arc<PlatformManifest>),
    Plan(Arc<PlanManifest>),
    Tenant(Arc<TenantManifest>),
}

impl Operator {
    /// Puts what was read now in the place of what was read before.
    pub(crate) fn read(&mut self, content: Content) {
        self.faults.clear();
        let (files, mut refused) = match content {
            Content::Files { files, faults } => (files, faults),
            // A read error is not a deletion: everything stays (S10).
            Content::Unreadable(fault) => return self.faults.push(fault),
            Content::Gone => (Vec::new(), Vec::new()),
        };
        let files = told_apart(files, &mut refused);
        let mut uncertain = Uncertain::default();
        refused.iter().filter(|fault| fault.severity == Severity::Error).for_each(|fault| uncertain.add(&fault.file));
        self.faults.extend(refused);
        self.read_files(files);
        for (path, file) in &self.files {
            if file.faults.iter().any(|fault| fault.severity == Severity::Error) {
                uncertain.add(path);
            }
            self.faults.extend(file.faults.iter().cloned());
        }
        self.broken = uncertain.first().cloned();
        self.judge(&uncertain);
    }

    /// Parses the files whose text changed.
    fn read_files(&mut self, files: Vec<SourceFile>) {
        let mut before = std::mem::take(&mut self.files);
        for file in files {
            let digest: [u8; 32] = Sha256::digest(&file.text).into();
            let read = match before.remove(&file.path) {
                Some(old) if old.digest == digest => old,
                _ => File::read(&file, digest),
            };
            self.files.insert(file.path, read);
        }
    }

    fn judge(&mut self, uncertain: &Uncertain) {
        let (mut platforms, mut plans, mut tenants) = (vec![], vec![], vec![]);
        for (path, file) in &self.files {
            for manifest in &file.manifests {
                match manifest {
                    Manifest::Platform(one) => platforms.push(seen(&one.metadata.name, path, one)),
                    Manifest::Plan(one) => plans.push(seen(&one.metadata.name, path, one)),
                    Manifest::Tenant(one) => tenants.push(seen(&one.metadata.name, path, one)),
                }
            }
        }
        let any = !platforms.is_empty();
        let platform = self.meant(platforms);
        self.platforms.read(&platform, uncertain, false, Governing::judge, &mut self.faults);
        let again = self.govern(&platform, any);
        self.plans.read(&plans, uncertain, false, judge_plan, &mut self.faults);
        if let Some(governing) = &self.governing {
            let platform = &governing.platform;
            self.tenants.read(&tenants, uncertain, again, |tenant, faults| judge_tenant(tenant, platform, faults), &mut self.faults);
        }
    }

    /// Of several Platforms the incumbent, else none: which of them is meant cannot be known, least of all by the names of their files (S17).
    fn meant(&mut self, seen: Vec<Seen<ResourceName, PlatformManifest>>) -> Vec<Seen<ResourceName, PlatformManifest>> {
        let [first, second, ..] = seen.as_slice() else { return seen };
        let governs = |one: &Seen<ResourceName, PlatformManifest>| {
            let is_it = |old: &Governing| old.name == one.name && old.total.fault("").file == one.file;
            self.governing.as_ref().is_some_and(is_it)
        };
        let mut governing = seen.iter().enumerate().filter(|(_, one)| governs(one)).map(|(index, _)| index);
        let incumbent = governing.next().filter(|_| governing.next().is_none());
        let holds = match (incumbent, &self.governing) {
            (Some(_), _) => "that one holds",
            (None, Some(_)) => "the last good one holds",
            (None, None) => "none of them governs",
        };
        for (index, one) in seen.iter().enumerate().filter(|(index, _)| Some(*index) != incumbent) {
            let other = incumbent.and_then(|index| seen.get(index)).unwrap_or(if index == 0 { second } else { first });
            let why = format!("there is another Platform, in {}, and there can be only one: {holds}", other.file);
            self.faults.push(one.place.fault(why));
        }
        incumbent.and_then(|index| seen.into_iter().nth(index)).into_iter().collect()
    }

    /// Chooses the Platform that governs: the incumbent, else the only one. Whether it differs from the one before is returned.
    fn govern(&mut self, seen: &[Seen<ResourceName, PlatformManifest>], any: bool) -> bool {
        let names = self.platforms.names();
        let incumbent = self.governing.as_ref().filter(|governing| names.contains(&governing.name));
        let chosen = incumbent.map(|governing| &governing.name).or_else(|| seen.first().map(|one| &one.name)).cloned();
        if let Some(chosen) = &chosen {
            let file = incumbent.map(|governing| governing.total.fault("").file);
            for one in seen.iter().filter(|one| one.name != *chosen) {
                let place = file.as_ref().map(|file| format!(", in {file},")).unwrap_or_default();
                self.faults.push(one.place.fault(format!("there is another Platform{place} and there can be only one: that one holds")));
            }
        } else if !any {
            let there = match &self.broken {
                Some(file) => format!("no Platform was found, and whether there is one cannot be known while {file} is broken"),
                None => "there is no Platform".to_owned(),
            };
            let holds = if self.governing.is_some() { ": the last good one holds" } else { "" };
            self.faults.push(Place::file(&Arc::from(".")).fault(there + holds));
        }
        let next = chosen.and_then(|chosen| self.platforms.good().find(|(name, _)| **name == chosen).map(|(_, good)| good.clone()));
        let Some(next) = next else { return false };
        let differs = self.governing.as_ref().is_none_or(|old| old.platform != next.platform);
        self.governing = Some(match self.governing.take() {
            // The same platform stays the same allocation: what was made of it need not be made again.
            Some(old) if !differs => Governing { platform: old.platform, ..next },
            _ => next,
        });
        differs
    }

    /// What is in force; absent while no Platform was ever good.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        let governing = self.governing.as_ref()?;
        Some(Wanted {
            platform: Arc::clone(&governing.platform),
            total: governing.total.clone(),
            plans: self.plans.good().map(|(name, plan)| (name.clone(), plan.clone())).collect(),
            tenants: self.tenants.good().map(|(name, grant)| (name.clone(), Arc::clone(grant))).collect(),
        })
    }

    /// Why a namespace has no tenant in force.
    pub(crate) fn why_nobodys(&self, namespace: &Namespace) -> String {
        let is_its = |tenant: &TenantManifest| match &tenant.namespace {
            Some(stated) => stated.value == *namespace,
            None => tenant.metadata.name.default_namespace() == *namespace,
        };
        let holds = |file: &File| file.manifests.iter().any(|one| matches!(one, Manifest::Tenant(tenant) if is_its(tenant)));
        match (self.files.iter().find(|(_, file)| holds(file)), &self.broken) {
            (Some((path, _)), _) => format!("its Tenant in {path} is refused"),
            (None, Some(file)) => format!("whether a Tenant has it cannot be known while {file} is broken"),
            (None, None) => "belongs to no Tenant".to_owned(),
        }
    }

    /// Everything that is wrong with the operator's resources.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().chain(self.platforms.faults()).chain(self.plans.faults()).chain(self.tenants.faults())
    }
}

/// The files that no other's name looks like: of two, one would take the place of the other (what is no UTF-8, or not seen, is shown otherwise than it is).
fn told_apart(files: Vec<SourceFile>, faults: &mut Vec<Fault>) -> Vec<SourceFile> {
    let mut seen = BTreeSet::new();
    let again: BTreeSet<_> = files.iter().map(|file| &file.path).filter(|path| !seen.insert(*path)).cloned().collect();
    faults.extend(again.iter().map(|path| Place::file(path).fault("is shown as another file is: give one of them a plain name")));
    files.into_iter().filter(|file| !again.contains(&file.path)).collect()
}

fn seen<N: Clone, M>(name: &At<N>, path: &Arc<str>, manifest: &Arc<M>) -> Seen<N, M> {
    Seen { name: name.value.clone(), file: Arc::clone(path), manifest: Arc::clone(manifest), place: name.place.clone() }
}

impl File {
    fn read(file: &SourceFile, digest: [u8; 32]) -> Self {
        let (resources, mut faults) = resource::read_within(&file.path, &file.text, Bounds::OPERATOR);
        let mut manifests = Vec::new();
        for resource in resources {
            match resource {
                Resource::Platform(one) => manifests.push(Manifest::Platform(Arc::new(one))),
                Resource::Plan(one) => manifests.push(Manifest::Plan(Arc::new(one))),
                Resource::Tenant(one) => manifests.push(Manifest::Tenant(Arc::new(one))),
                own => {
                    let message = format!("{} is a tenant's own: it belongs into namespaces/<namespace>", own.kind().as_str());
                    faults.push(own.place().fault(message));
                }
            }
        }
        Self { digest, manifests, faults }
    }
}

impl Governing {
    fn judge(manifest: &PlatformManifest, faults: &mut Vec<Fault>) -> Option<Self> {
        let platform = platform::judge(manifest, faults)?;
        let name = &manifest.metadata.name;
        Some(Self { name: name.value.clone(), platform: Arc::new(platform), total: manifest.rate_limit.clone() })
    }
}

/// Reads a plan, with the place of what may not fit: its guarantee.
fn judge_plan(manifest: &PlanManifest, _: &mut Vec<Fault>) -> Option<At<Arc<Plan>>> {
    let name = &manifest.metadata.name;
    let place = manifest.guaranteed.as_ref().map_or(&name.place, |guaranteed| &guaranteed.place);
    Some(At::new(Arc::new(plan::judge(manifest)), place.clone()))
}

fn judge_tenant(manifest: &TenantManifest, platform: &Platform, faults: &mut Vec<Fault>) -> Option<Arc<TenantGrant>> {
    tenant::judge(manifest, platform, faults).map(Arc::new)
}
