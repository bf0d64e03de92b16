package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/node"
)

// tool is a program of the machine and the Debian package that brings it.
type tool struct{ name, pkg string }

func nodeTools() []tool {
	return []tool{
		{"containerd", "containerd"},
		{"runc", "runc"},
		{"nft", "nftables"},
		{"iptables", "iptables"},
		{"conntrack", "conntrack"},
		{"ip", "iproute2"},
	}
}

// builderTools are what buildkitd needs; git for contexts from a repository.
func builderTools() []tool { return []tool{{"runc", "runc"}} }

// wallTools are what kube-router runs, and what answers outside of the cluster.
func wallTools() []tool { return []tool{{"ipset", "ipset"}, {"busybox", "busybox-static"}} }

// baseTools are what the base images are made of.
func baseTools() []tool { return []tool{{"busybox", "busybox-static"}, {"node", "nodejs npm"}} }

const cniPackage = "containernetworking-plugins"

// cniDirs are where Debian and others put the CNI plugins.
func cniDirs() []string { return []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} }

func findCNI() string {
	for _, dir := range cniDirs() {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			return dir
		}
	}
	return ""
}

// missing returns the packages that lack a program.
func missing(tools []tool) []string {
	var pkgs []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.name); err != nil && !slices.Contains(pkgs, t.pkg) {
			pkgs = append(pkgs, t.pkg)
		}
	}
	return pkgs
}

// missingForReal returns the packages that mode real lacks.
func missingForReal(walled bool) []string {
	tools := nodeTools()
	if walled {
		tools = append(tools, wallTools()...)
	}
	pkgs := missing(tools)
	if findCNI() == "" {
		pkgs = append(pkgs, cniPackage)
	}
	return pkgs
}

func aptLine(pkgs []string) string {
	return "apt-get install -y --no-install-recommends " + strings.Join(pkgs, " ")
}

// install runs apt-get, whose lists may be older than what the servers have.
func install(ctx context.Context, pkgs []string, out io.Writer) error {
	if len(pkgs) == 0 {
		return nil
	}
	var errs []error
	for _, line := range []string{"apt-get update -qq", aptLine(pkgs)} {
		args := strings.Fields(line)
		fmt.Fprintln(out, "running", line)
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = out, out
		err := cmd.Run()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", line, err))
		} else {
			errs = errs[:0] // old lists were good enough
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("installing packages: %w", err)
	}
	return nil
}

// provide installs packages; where there is a choice, a failure only costs the
// real node.
func (u *Up) provide(ctx context.Context, pkgs []string) error {
	err := install(ctx, pkgs, u.Out)
	if err != nil && u.Mode == layout.Auto && ctx.Err() == nil {
		u.say("NOTE: going on without what could not be installed: %v", err)
		return nil
	}
	return err
}

// ErrNotPossible means that mode real cannot run here.
var ErrNotPossible = errors.New("mode real is not possible here")

// RealPossible says why mode real is not possible here, or returns nil. The
// error is an [ErrNotPossible].
func RealPossible(ctx context.Context, walled bool) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it needs root", ErrNotPossible)
	}
	if pkgs := missingForReal(walled); len(pkgs) > 0 {
		return fmt.Errorf("%w: run %s (or lab up --install)", ErrNotPossible, aptLine(pkgs))
	}
	probe := exec.CommandContext(ctx, "true")
	probe.SysProcAttr = node.Attributes()
	if err := probe.Run(); err != nil {
		return fmt.Errorf("%w: making namespaces: %w", ErrNotPossible, err)
	}
	return nil
}

// decide turns Auto into a mode and installs what it may.
func (u *Up) decide(ctx context.Context) (layout.Mode, error) {
	if u.Kubeconfig != "" {
		return layout.External, nil
	}
	if u.Install && u.Mode != layout.Kwok && os.Geteuid() == 0 {
		if err := u.provide(ctx, append(missingForReal(u.Walled), missing(baseTools())...)); err != nil {
			return "", err
		}
	}
	if u.Mode == layout.Kwok {
		if u.Walled {
			return "", fmt.Errorf("--network-policies with mode %s: there are no packets to look at, want mode real", u.Mode)
		}
		return layout.Kwok, nil
	}
	err := RealPossible(ctx, u.Walled)
	if u.Mode == layout.Real || u.Walled {
		return layout.Real, err
	}
	if err != nil {
		u.say("NOTE: pods are simulated (mode kwok): no image is pulled, nothing runs, nothing answers. %v.", err)
		return layout.Kwok, nil
	}
	return layout.Real, nil
}
