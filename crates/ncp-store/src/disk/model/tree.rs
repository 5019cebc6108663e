//! Names of the model: each folder has the entries that calls see and those that are durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::file::Fate;

/// What a name leads to; unique for the life of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(u64);

const ROOT: NodeId = NodeId(0);

#[derive(Clone, Default)]
struct Folder {
    visible: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
}

impl Folder {
    fn set(&mut self, name: &str, node: Option<NodeId>) {
        match node {
            Some(node) => self.visible.insert(name.to_owned(), node),
            None => self.visible.remove(name),
        };
    }

    /// Names that are not as on the disk.
    fn pending(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.visible.keys().chain(self.durable.keys()).collect();
        names.into_iter().filter(|name| self.visible.get(*name) != self.durable.get(*name)).cloned().collect()
    }

    fn persist(&mut self, name: &str) {
        match self.visible.get(name) {
            Some(node) => self.durable.insert(name.to_owned(), *node),
            None => self.durable.remove(name),
        };
    }
}

#[derive(Clone)]
pub(super) struct Tree {
    folders: BTreeMap<NodeId, Folder>,
    next: u64,
    // Renames whose old name may still be durable.
    renames: Vec<Rename>,
}

#[derive(Clone)]
struct Rename {
    node: NodeId,
    from: (NodeId, String),
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { folders: BTreeMap::from([(ROOT, Folder::default())]), next: 1, renames: Vec::new() }
    }

    /// The folder and name of `path`.
    fn place(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let mut names = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name.to_str().ok_or(io::ErrorKind::InvalidInput)?),
                Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
            }
        }
        let last = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let mut folder = ROOT;
        for name in names {
            folder = *self.folder(folder)?.visible.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        self.folder(folder)?;
        Ok((folder, last.to_owned()))
    }

    fn folder(&self, node: NodeId) -> io::Result<&Folder> {
        self.folders.get(&node).ok_or_else(|| io::ErrorKind::NotADirectory.into())
    }

    fn folder_mut(&mut self, node: NodeId) -> io::Result<&mut Folder> {
        self.folders.get_mut(&node).ok_or_else(|| io::ErrorKind::NotADirectory.into())
    }

    fn folder_at(&self, dir: &Path) -> io::Result<NodeId> {
        if dir.as_os_str().is_empty() {
            return Ok(ROOT);
        }
        let node = self.node(dir)?;
        self.folder(node).map(|_| node)
    }

    fn node(&self, path: &Path) -> io::Result<NodeId> {
        let (folder, name) = self.place(path)?;
        Ok(*self.folder(folder)?.visible.get(&name).ok_or(io::ErrorKind::NotFound)?)
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.node(path)?;
        if self.folders.contains_key(&node) { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(node) }
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.folder(self.folder_at(dir)?)?.visible.keys().cloned().collect())
    }

    fn create(&mut self, path: &Path) -> io::Result<NodeId> {
        let (folder, name) = self.place(path)?;
        if self.folder(folder)?.visible.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = NodeId(self.next);
        self.next += 1;
        self.folder_mut(folder)?.set(&name, Some(node));
        Ok(node)
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        self.create(path)
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        if let Ok(node) = self.node(path) {
            return self.folder(node).map(|_| ());
        }
        let node = self.create(path)?;
        self.folders.insert(node, Folder::default());
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from)?;
        let from = self.place(from)?;
        let (folder, name) = self.place(to)?;
        let replaced = self.folder(folder)?.visible.get(&name);
        if replaced.is_some_and(|replaced| self.folders.contains_key(replaced)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.folder_mut(from.0)?.set(&from.1, None);
        self.folder_mut(folder)?.set(&name, Some(node));
        self.renames.push(Rename { node, from });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let node = self.file(path)?;
        let (folder, name) = self.place(path)?;
        self.folder_mut(folder)?.set(&name, None);
        // Whoever removes a file means it: no rename brings it back.
        self.renames.retain(|rename| rename.node != node);
        Ok(())
    }

    /// Makes the one name durable.
    pub(super) fn persist(&mut self, path: &Path) {
        if let Ok((folder, name)) = self.place(path)
            && let Ok(folder) = self.folder_mut(folder)
        {
            folder.persist(&name);
        }
    }

    pub(super) fn sync(&mut self, dir: &Path) -> io::Result<()> {
        let node = self.folder_at(dir)?;
        let folder = self.folder_mut(node)?;
        for name in folder.pending() {
            folder.persist(&name);
        }
        // The old name is gone for good: the rename can no longer be undone from here.
        self.renames.retain(|rename| rename.from.0 != node);
        Ok(())
    }

    pub(super) fn cut(&mut self, fate: &mut Fate) {
        let mut renames = std::mem::take(&mut self.renames);
        renames.retain(|Rename { node, from: (folder, name) }| {
            self.folders.get(folder).is_some_and(|folder| folder.durable.get(name) == Some(node))
        });
        for folder in self.folders.values_mut() {
            for name in folder.pending() {
                if fate.choose(1) == 1 {
                    folder.persist(&name);
                }
            }
        }
        for Rename { node, from: (folder, name) } in renames {
            if !self.named(node)
                && let Some(folder) = self.folders.get_mut(&folder)
            {
                folder.durable.entry(name).or_insert(node);
            }
        }
        for folder in self.folders.values_mut() {
            folder.visible = folder.durable.clone();
        }
        self.forget_unreachable();
    }

    fn named(&self, node: NodeId) -> bool {
        self.folders.values().any(|folder| folder.durable.values().any(|other| *other == node))
    }

    fn forget_unreachable(&mut self) {
        let mut reached = BTreeSet::new();
        let mut open = vec![ROOT];
        while let Some(node) = open.pop() {
            if reached.insert(node)
                && let Some(folder) = self.folders.get(&node)
            {
                open.extend(folder.visible.values());
            }
        }
        self.folders.retain(|node, _| reached.contains(node));
    }

    /// Nodes that calls can name.
    pub(super) fn visible(&self) -> impl Iterator<Item = NodeId> {
        self.folders.values().flat_map(|folder| folder.visible.values().copied())
    }

    /// Whether some name, visible or durable, leads to this node.
    pub(super) fn holds(&self, node: NodeId) -> bool {
        self.folders
            .values()
            .any(|folder| folder.visible.values().chain(folder.durable.values()).any(|other| *other == node))
    }
}
