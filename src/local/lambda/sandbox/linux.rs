//! A function's file system, built step by step. The steps are prepared before the fork and executed between fork and exec,
//! where allocation is not allowed: each is one or a few system calls on prepared arguments.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatVfsMountFlags, mkdirat, open, statvfs, symlinkat, unlinkat};
use rustix::io::{Errno, write};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount};
use rustix::process::{chdir, getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{Layout, OPT, REFUSING_ADDRESS, TASK, TMP};

const VAR: &str = "/var";
const HOSTS: &str = "/etc/hosts";

/// The temporary path of the private `/etc/hosts`.
const NEW_HOSTS: &str = "/var/hosts";

/// The number of low bits with the error number in a [`failed_at`] code; the bits above have the step's number.
const ERROR_BITS: u32 = 16;

/// The steps from the machine's file system to a function's own.
pub struct MountPlan {
    steps: Arc<[Step]>,
}

enum Step {
    /// A mount namespace, and without privileges for that also a user namespace, in which user and group ids are unchanged.
    Namespaces {
        users: Vec<u8>,
        groups: Vec<u8>,
    },
    /// Mounts in the namespace do not propagate out of it. Unmounts of the machine propagate in: otherwise a disk would stay
    /// busy.
    Inwards,
    /// Relative paths start here from now on, even after something else is mounted there.
    Enter(CString),
    /// An empty tmpfs.
    Memory {
        at: CString,
        options: CString,
    },
    Folder(CString),
    File {
        at: CString,
        content: Vec<u8>,
    },
    Link {
        at: CString,
        target: CString,
    },
    /// A recursive bind mount of `from` at `at`.
    Bind {
        from: CString,
        at: CString,
    },
    /// The mount's other flags have to be repeated: a user namespace may not drop them.
    ReadOnly {
        at: CString,
        flags: MountFlags,
    },
    Remove(CString),
}

impl MountPlan {
    /// Prepares the steps.
    ///
    /// # Errors
    /// When the machine's file system cannot be read.
    pub fn new(layout: &Layout<'_>) -> io::Result<Self> {
        Self::of(layout, geteuid().as_raw(), getegid().as_raw())
    }

    /// As [`MountPlan::new`], for a process of the user `uid` and the group `gid`.
    fn of(layout: &Layout<'_>, uid: u32, gid: u32) -> io::Result<Self> {
        let mut steps = vec![
            Step::Namespaces {
                users: format!("{uid} {uid} 1").into_bytes(),
                groups: format!("{gid} {gid} 1").into_bytes(),
            },
            Step::Inwards,
        ];

        // Most machines have no /var/task, and unprivileged users cannot create it in /var, so a tmpfs replaces /var.
        steps.push(Step::Enter(text(VAR)?));
        steps.push(Step::Memory { at: text(VAR)?, options: text("mode=755,size=1m")? });
        let ours = ["task", "hosts", "node_modules", "package.json"];
        for entry in fs::read_dir(VAR)? {
            let name = PathBuf::from(entry?.file_name());
            if !ours.iter().any(|one| name == Path::new(one)) {
                restore(&mut steps, Path::new(VAR), &name)?;
            }
        }
        steps.push(Step::Folder(text(TASK)?));
        steps.push(Step::Bind { from: text(layout.code)?, at: text(TASK)? });
        steps.push(Step::ReadOnly { at: text(TASK)?, flags: flags(layout.code)? });
        if let Some(opt) = layout.opt {
            steps.push(Step::Bind { from: text(opt)?, at: text(OPT)? });
            steps.push(Step::ReadOnly { at: text(OPT)?, flags: flags(opt)? });
        }
        for name in ["node_modules", "package.json"] {
            let at = text(Path::new(VAR).join(name))?;
            steps.push(Step::Link { at, target: text(layout.lambda.join(name))? });
        }
        if let Some(content) = hosts(&layout.names) {
            steps.push(Step::File { at: text(NEW_HOSTS)?, content });
            steps.push(Step::Bind { from: text(NEW_HOSTS)?, at: text(HOSTS)? });
            steps.push(Step::Remove(text(NEW_HOSTS)?));
        }
        steps.push(Step::ReadOnly { at: text(VAR)?, flags: MountFlags::NOSUID | MountFlags::NODEV });

        steps.push(Step::Enter(text(TMP)?));
        steps.push(Step::Memory { at: text(TMP)?, options: text(format!("mode=1777,size={}m", layout.storage))? });
        for name in below_tmp(&layout.needed)? {
            restore(&mut steps, Path::new(TMP), &name)?;
        }

        steps.push(Step::Enter(text(TASK)?));
        Ok(Self { steps: steps.into() })
    }

    /// Executes the steps in the process of `command`, before its program starts.
    #[expect(unsafe_code, reason = "between fork and exec only system calls are made, on what is ready before")]
    pub fn apply(&self, command: &mut Command) {
        let steps = Arc::clone(&self.steps);
        let take = move || {
            for (step, number) in steps.iter().zip(1..) {
                step.take().map_err(|error| io::Error::from_raw_os_error(failed_at(number, error)))?;
            }
            Ok(())
        };
        // SAFETY: the steps allocate nothing, take no lock, and call only what is safe after a fork.
        unsafe { command.pre_exec(take) };
    }

    /// The failed step, if a command's start failed with `error` because of one.
    pub fn explain(&self, error: &io::Error) -> Option<String> {
        let raw = error.raw_os_error()?;
        let step = usize::try_from(raw >> ERROR_BITS).ok()?.checked_sub(1)?;
        let reason = io::Error::from_raw_os_error(raw & ((1 << ERROR_BITS) - 1));
        Some(format!("cannot {}: {reason}", self.steps.get(step)?))
    }
}

/// Tests whether functions can have their own file systems. Blocks.
///
/// # Errors
/// The reason why they cannot.
pub fn probe(lambda: &Path) -> Result<(), String> {
    let layout = Layout {
        code: lambda,
        opt: None,
        lambda,
        storage: 1,
        needed: vec![lambda.to_owned()],
        names: vec!["api.invalid".to_owned()],
    };
    let plan = MountPlan::new(&layout).map_err(|error| error.to_string())?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ":"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    plan.apply(&mut command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("/bin/sh does not run in one: {status}")),
        Err(error) => Err(plan.explain(&error).unwrap_or_else(|| error.to_string())),
    }
}

impl Step {
    fn take(&self) -> rustix::io::Result<()> {
        match self {
            Self::Namespaces { users, groups } => namespaces(users, groups),
            Self::Inwards => mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC),
            Self::Enter(at) => chdir(at.as_c_str()),
            Self::Memory { at, options } => {
                mount(c"tmpfs", at.as_c_str(), c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
            }
            Self::Folder(at) => mkdirat(CWD, at.as_c_str(), Mode::from_raw_mode(0o755)),
            Self::File { at, content } => put(at, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, content),
            Self::Link { at, target } => symlinkat(target.as_c_str(), CWD, at.as_c_str()),
            Self::Bind { from, at } => mount_bind_recursive(from.as_c_str(), at.as_c_str()),
            Self::ReadOnly { at, flags } => {
                mount_remount(at.as_c_str(), MountFlags::BIND | MountFlags::RDONLY | *flags, c"")
            }
            Self::Remove(at) => unlinkat(CWD, at.as_c_str(), AtFlags::empty()),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespaces { .. } => f.write_str("create a user and a mount namespace"),
            Self::Inwards => f.write_str("keep mounts inside the namespace"),
            Self::Enter(at) => write!(f, "change to {}", shown(at)),
            Self::Memory { at, .. } => write!(f, "mount a tmpfs at {}", shown(at)),
            Self::Folder(at) | Self::File { at, .. } | Self::Link { at, .. } => write!(f, "create {}", shown(at)),
            Self::Bind { from, at } => write!(f, "mount {} at {}", shown(from), shown(at)),
            Self::ReadOnly { at, .. } => write!(f, "make {} read-only", shown(at)),
            Self::Remove(at) => write!(f, "remove {}", shown(at)),
        }
    }
}

/// The error code of a failed step, distinguishable from that of a failed exec: a child can only pass one number to its
/// parent.
fn failed_at(step: i32, error: Errno) -> i32 {
    (step << ERROR_BITS) | error.raw_os_error()
}

/// Creates the namespaces. The user's and the group's id are mapped to themselves, so that access to files, signals and
/// `/proc` stays the same.
#[expect(unsafe_code, reason = "no other thread shares anything with a process that was forked a moment ago")]
fn namespaces(users: &[u8], groups: &[u8]) -> rustix::io::Result<()> {
    // SAFETY: the table of open files is not unshared.
    match unsafe { unshare_unsafe(UnshareFlags::NEWNS) } {
        Err(Errno::PERM) => {}
        made => return made,
    }
    // SAFETY: as above.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }?;
    // Without privileges a process can map groups only after it has given up setgroups (user_namespaces(7)).
    put(c"/proc/self/setgroups", OFlags::WRONLY, b"deny")?;
    put(c"/proc/self/uid_map", OFlags::WRONLY, users)?;
    put(c"/proc/self/gid_map", OFlags::WRONLY, groups)
}

fn put(at: &CStr, flags: OFlags, content: &[u8]) -> rustix::io::Result<()> {
    let file = open(at, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))?;
    let mut rest = content;
    while !rest.is_empty() {
        let written = write(&file, rest)?;
        rest = &rest[written..];
    }
    Ok(())
}

/// Adds the steps that make the entry `name` of `folder` accessible again. Something was mounted over `folder` after it became
/// the working directory.
fn restore(steps: &mut Vec<Step>, folder: &Path, name: &Path) -> io::Result<()> {
    let path = folder.join(name);
    let at = text(&path)?;
    let kind = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata.file_type(),
        // It was just removed, or does not exist yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if kind.is_symlink() {
        steps.push(Step::Link { at, target: text(fs::read_link(&path)?)? });
        return Ok(());
    }
    steps.push(if kind.is_dir() {
        Step::Folder(at.clone())
    } else {
        Step::File { at: at.clone(), content: Vec::new() }
    });
    steps.push(Step::Bind { from: text(name)?, at });
    Ok(())
}

/// The entries of `/tmp` that contain some of the paths, or the targets of these as links.
fn below_tmp(needed: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let tmp = fs::canonicalize(TMP)?;
    let mut names: Vec<PathBuf> = Vec::new();
    for path in needed.iter().cloned().chain(needed.iter().filter_map(|path| fs::canonicalize(path).ok())) {
        let below = path.strip_prefix(TMP).or_else(|_| path.strip_prefix(&tmp));
        if let Some(name) = below.ok().and_then(|below| below.components().next()) {
            names.push(name.as_os_str().into());
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The machine's `/etc/hosts` with our names before its content; `None` where it has no such file, or there are no names.
fn hosts(names: &[String]) -> Option<Vec<u8>> {
    let rest = fs::read(HOSTS).ok().filter(|_| !names.is_empty())?;
    let mut content: Vec<u8> =
        names.iter().flat_map(|name| format!("{REFUSING_ADDRESS} {name}\n").into_bytes()).collect();
    content.extend(rest);
    Some(content)
}

/// The flags of a path's mount, without those for access times, which are kept where none is given (mount(2)).
fn flags(path: &Path) -> io::Result<MountFlags> {
    let set = statvfs(path)?.f_flag;
    let pairs = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ];
    Ok(pairs.into_iter().filter(|(there, _)| set.contains(*there)).map(|(_, flag)| flag).collect())
}

fn shown(path: &CStr) -> Cow<'_, str> {
    path.to_string_lossy()
}

fn text(path: impl AsRef<Path>) -> io::Result<CString> {
    Ok(CString::new(path.as_ref().as_os_str().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    use super::*;

    #[test]
    fn a_failed_step_is_named_and_distinguished_from_a_failed_exec() {
        let plan =
            MountPlan { steps: [Step::Enter(text("/").unwrap()), Step::Enter(text("/no/such").unwrap())].into() };
        let mut command = Command::new("/bin/sh");
        plan.apply(&mut command);
        let error = command.spawn().unwrap_err();
        assert_eq!(plan.explain(&error).unwrap(), "cannot change to /no/such: No such file or directory (os error 2)");

        let plan = MountPlan { steps: [Step::Enter(text("/").unwrap())].into() };
        let mut command = Command::new("/no/such");
        plan.apply(&mut command);
        let error = command.spawn().unwrap_err();
        assert_eq!((error.kind(), plan.explain(&error)), (io::ErrorKind::NotFound, None));
    }

    /// Where possible, the test switches to an unprivileged user, as most functions run as one.
    #[test]
    #[expect(unsafe_code, reason = "a process that has changed its user must be made its own again")]
    fn an_unprivileged_user_can_have_a_file_system_too() {
        let machine = tempfile::tempdir_in(TMP).unwrap();
        fs::set_permissions(machine.path(), Permissions::from_mode(0o755)).unwrap();
        let (code, data) = (machine.path().join("code"), machine.path().join("data"));
        fs::create_dir(&code).unwrap();
        fs::create_dir(&data).unwrap();
        fs::write(code.join("own.txt"), "own").unwrap();
        // A container's user namespace may have no other user than root.
        let all_users = fs::read_to_string("/proc/self/uid_map").unwrap().trim_end().ends_with(" 4294967295");
        let is_root = geteuid().is_root() && all_users;
        let (uid, gid) = if is_root { (65534, 65534) } else { (geteuid().as_raw(), getegid().as_raw()) };
        let layout = Layout {
            opt: None,
            code: &code,
            lambda: &data,
            storage: 3,
            needed: vec![data.clone()],
            names: vec!["api.invalid".to_owned()],
        };
        let plan = MountPlan::of(&layout, uid, gid).unwrap();
        let script = "id -u; pwd; cat /var/task/own.txt; echo; echo x > /var/task/new; echo x > /var/new; \
            df -m --output=size /tmp | tail -1; ls -A /tmp; head -1 /etc/hosts; test -d /var/lib && echo var";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env("LC_ALL", "C").stdin(Stdio::null());
        if is_root {
            command.uid(uid).gid(gid);
            let own = || set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(io::Error::from);
            // SAFETY: it is one system call.
            unsafe { command.pre_exec(own) };
        }
        plan.apply(&mut command);
        let output = match command.output() {
            Ok(output) => output,
            // This system does not permit user namespaces.
            Err(error) if plan.explain(&error).is_some_and(|why| why.contains("namespace")) => return,
            Err(error) => panic!("{:?}", plan.explain(&error)),
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        let folder = machine.path().file_name().unwrap().to_str().unwrap();
        let hosts = format!("{REFUSING_ADDRESS} api.invalid");
        assert_eq!(lines, [&uid.to_string(), TASK, "own", "3", folder, &hosts, "var"], "{output:?}");
        let refusals = String::from_utf8_lossy(&output.stderr).matches("Read-only file system").count();
        assert_eq!(refusals, 2, "{output:?}");
    }
}
