package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/inhaul/inhaul/lab/layout"
)

// nodeDirs are fixed paths of kubelet and its tools. Inside the mount
// namespace each is a directory of the lab; on the host they stay empty.
func nodeDirs() []string {
	return []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"}
}

// privateMounts separates this mount namespace from the host's and shows the
// processes of this PID namespace.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return nil
}

func prepareMounts(lab *layout.Lab) error {
	if err := privateMounts(); err != nil {
		return err
	}
	// Shared among the pods' mount namespaces below this one, for kubelet's volumes.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("making mounts shared: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	for _, dir := range []string{"/run/containerd", "/run/netns", "/run/lock"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for _, dir := range nodeDirs() {
		own := lab.Path("node", "root", dir)
		if err := os.MkdirAll(own, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(own, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", dir, err)
		}
	}
	if err := unix.Mount("", "/var/lib/kubelet", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing /var/lib/kubelet: %w", err)
	}
	if err := unix.Sethostname([]byte(layout.NodeName)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	return os.WriteFile(lab.Path("node", "resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644)
}

// MakeNodeDirs makes the mount points on the host and returns those that were
// not there, for [RemoveNodeDirs].
func MakeNodeDirs() ([]string, error) {
	var made []string
	for _, dir := range nodeDirs() {
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return made, fmt.Errorf("making a mount point: %w", err)
		}
		made = append(made, dir)
	}
	return made, nil
}

// RemoveNodeDirs removes mount points that are still empty.
func RemoveNodeDirs(made []string) {
	for _, dir := range made {
		_ = os.Remove(dir) // somebody else's by now if it is not empty
	}
}

// prepareNetwork gives the namespace a bridge as the node's only interface. No
// route leads out.
func prepareNetwork(ctx context.Context) error {
	const bridge = "lab0"
	err := runIP(ctx, [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", bridge, "type", "bridge"},
		{"addr", "add", layout.NodeNetwork, "dev", bridge},
		{"link", "set", bridge, "up"},
		// The node needs a route to service addresses before they are rewritten.
		{"route", "add", layout.ServiceCIDR, "dev", bridge},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("enabling forwarding: %w", err)
	}
	return nil
}

// prepareWorld makes a network beside the node's that has the addresses of a world
// outside. It leads nowhere else: what is sent to them stays on this machine.
func prepareWorld(ctx context.Context, lab *layout.Lab) error {
	const (
		inner, outer               = "lab1", "node0"
		innerAddress, outerAddress = "10.247.0.1", "10.247.0.2"
	)
	world := lab.Path("node", "world")
	if err := os.MkdirAll(world, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(world, "index.html"), []byte("outside\n"), 0o644); err != nil {
		return err
	}
	commands := [][]string{
		{"netns", "add", layout.WorldNetwork},
		{"link", "add", inner, "type", "veth", "peer", "name", outer, "netns", layout.WorldNetwork},
		{"addr", "add", innerAddress + "/30", "dev", inner},
		{"link", "set", inner, "up"},
		{"-n", layout.WorldNetwork, "link", "set", "lo", "up"},
		{"-n", layout.WorldNetwork, "addr", "add", outerAddress + "/30", "dev", outer},
		{"-n", layout.WorldNetwork, "link", "set", outer, "up"},
		{"-n", layout.WorldNetwork, "route", "add", layout.PodNetwork, "via", innerAddress},
	}
	for _, address := range []string{layout.WorldAddress, layout.MetadataAddress, layout.IdentityAddress} {
		commands = append(commands, []string{"-n", layout.WorldNetwork, "addr", "add", address + "/32", "dev", "lo"}, []string{"route", "add", address + "/32", "via", outerAddress})
	}
	return runIP(ctx, commands)
}

func runIP(ctx context.Context, commands [][]string) error {
	for _, args := range commands {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("running ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
		}
	}
	return nil
}

const cgroupRoot = "/sys/fs/cgroup"

// cgroupTrees returns the roots of the hierarchies: one on cgroup v2, one per
// controller on v1.
func cgroupTrees() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{cgroupRoot}, nil
	}
	found, err := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	for i, f := range found {
		found[i] = filepath.Dir(f)
	}
	return found, nil
}

// prepareCgroups makes a cgroup of that name in every hierarchy.
func prepareCgroups(name string) error {
	trees, err := cgroupTrees()
	if err != nil {
		return err
	}
	for _, tree := range trees {
		if err := os.MkdirAll(filepath.Join(tree, name), 0o755); err != nil {
			return err
		}
		// On v1 a new cpuset is empty, and nothing can be put into it.
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			all, err := os.ReadFile(filepath.Join(tree, f))
			if err != nil || tree == cgroupRoot {
				continue
			}
			if err := os.WriteFile(filepath.Join(tree, name, f), all, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// RemoveCgroups removes the cgroups of that name with all below them. Their
// processes must have ended; the kernel may take a moment to notice.
func RemoveCgroups(ctx context.Context, name string) error {
	trees, err := cgroupTrees()
	if err != nil {
		return err
	}
	const patience, pause = 5 * time.Second, 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var errs []error
		for _, tree := range trees {
			errs = append(errs, removeCgroup(filepath.Join(tree, name)))
		}
		err := errors.Join(errs...)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("removing cgroups: %w", err)
		}
	}
}

func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing %s: %w", dir, err)
	}
	return nil
}
