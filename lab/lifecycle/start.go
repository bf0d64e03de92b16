package lifecycle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"

	"github.com/inhaul/inhaul/lab/cluster"
	"github.com/inhaul/inhaul/lab/image"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/node"
	"github.com/inhaul/inhaul/lab/process"
)

const pollEvery = 50 * time.Millisecond

// startNode starts the namespaces of mode real and returns when their network
// is there. The node goes on starting; started reads its words.
func (u *Up) startNode(ctx context.Context) (pid int, started *bufio.Scanner, err error) {
	if u.lab.Mode != layout.Real {
		return 0, nil, nil
	}
	u.loadModules(ctx)
	held, err := u.claimMachine()
	if err != nil {
		return 0, nil, err
	}
	defer held.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return 0, nil, fmt.Errorf("starting the node: %w", err)
	}
	defer w.Close()
	context.AfterFunc(ctx, func() { r.Close() })
	p, err := u.table.Start(process.Spec{
		Name: "node", Path: u.Self, Args: []string{"lab", "node", "--dir", u.lab.Dir}, Log: u.lab.Log("node"),
		Sys: node.Attributes(), Inherit: []*os.File{w, held},
	})
	if err != nil {
		return 0, nil, err
	}
	u.watch(p)
	started = bufio.NewScanner(r)
	w.Close()
	return p.PID, started, node.Await(started, node.NetworkReady)
}

// loadModules asks for the kernel's modules that containers need. They may be
// built in, or loaded already; what is missing shows later, with its own error.
func (u *Up) loadModules(ctx context.Context) {
	for _, module := range []string{"overlay", "br_netfilter"} {
		if err := exec.CommandContext(ctx, "modprobe", module).Run(); err != nil {
			u.Logger.Debug("module not loaded", "name", module, "error", err)
		}
	}
}

// claimMachine takes the lock of the one real lab; the node inherits it.
func (u *Up) claimMachine() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(layout.RealLock), 0o755); err != nil {
		return nil, fmt.Errorf("claiming the machine: %w", err)
	}
	file, err := os.OpenFile(layout.RealLock, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("claiming the machine: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(layout.RealLock)
		return nil, errors.Join(fmt.Errorf("a real lab is already up in %s, and a machine can have one: run lab down --dir %s", owner, owner), file.Close())
	}
	if err := os.WriteFile(layout.RealLock, []byte(u.lab.Dir), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("claiming the machine: %w", err), file.Close())
	}
	return file, nil
}

// startServe starts the background process and waits for the registry.
func (u *Up) startServe(ctx context.Context, nodePID int) error {
	p, err := u.table.Start(process.Spec{
		Name: "serve", Path: u.Self, Log: u.lab.Log("serve"), Gentle: true,
		Args: []string{"lab", "serve", "--dir", u.lab.Dir, "--node", strconv.Itoa(nodePID)},
	})
	if err != nil {
		return err
	}
	u.watch(p)
	addresses := []string{u.lab.Registry(), u.lab.Mirror(), u.lab.GitHub()}
	for _, address := range addresses {
		if err := waitDial(ctx, "tcp", address); err != nil {
			return err
		}
	}
	return nil
}

// startCluster returns when the cluster can run pods.
func (u *Up) startCluster(ctx context.Context, started *bufio.Scanner) error {
	nodeName := layout.NodeName
	switch u.lab.Mode {
	case layout.External, layout.Auto: // Auto is only ever asked for
		return nil
	case layout.Real:
		if err := node.Await(started, node.AllStarted); err != nil {
			return err
		}
	case layout.Kwok:
		nodeName = layout.FakeNode
		config := cluster.Config{Lab: u.lab, Token: u.token}
		if err := config.Start(ctx, u.launch); err != nil {
			return err
		}
	}
	api, err := cluster.NewAPI(u.lab)
	if err != nil {
		return err
	}
	if u.lab.Mode == layout.Kwok {
		if err := api.CreateFakeNode(ctx); err != nil {
			return err
		}
	}
	return api.WaitNode(ctx, nodeName)
}

func (u *Up) launch(c cluster.Component) error {
	p, err := u.table.Start(process.Spec{Name: c.Name, Path: c.Path, Args: c.Args, Log: u.lab.Log(c.Name), Gentle: c.Gentle})
	if err != nil {
		return err
	}
	u.watch(p)
	return nil
}

// pushOwnImages pushes the sandbox image and, for a builder, the base images.
func (u *Up) pushOwnImages(ctx context.Context) error {
	sandbox, err := u.binary(ctx, "sandbox")
	if err != nil {
		return err
	}
	img, err := image.Binary(sandbox, []string{"pause"}, image.Settings{})
	if err != nil {
		return err
	}
	if _, err := Push(ctx, u.lab, u.lab.SandboxImage, img); err != nil {
		return err
	}
	if u.lab.Programs.Buildkitd == "" {
		return nil
	}
	if pkgs := missing(baseTools()); len(pkgs) > 0 {
		u.say("no base images for builds: run %s", aptLine(pkgs))
		return nil
	}
	return u.pushBases(ctx)
}

func (u *Up) pushBases(ctx context.Context) error {
	began := u.Now()
	busybox, err := image.Busybox(ctx)
	if err != nil {
		return err
	}
	base, err := image.Node(ctx)
	if err != nil {
		return err
	}
	for reference, img := range map[string]remote.Taggable{
		"library/busybox:1.36": busybox, "library/busybox:latest": busybox, "library/node:20-slim": base,
	} {
		tag, err := name.NewTag(u.lab.Mirror()+"/"+reference, name.Insecure)
		if err != nil {
			return err
		}
		if err := remote.Push(tag, img, remote.WithContext(ctx), remote.WithTransport(http.DefaultTransport)); err != nil {
			return fmt.Errorf("pushing the base image %s: %w", reference, err)
		}
	}
	u.Logger.Debug("base images pushed", "duration", u.Now().Sub(began))
	return nil
}

// waitDial returns when something listens.
func waitDial(ctx context.Context, network, address string) error {
	var dialer net.Dialer
	for {
		c, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", filepath.Base(address), context.Cause(ctx))
		}
	}
}
