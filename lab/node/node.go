// Package node is PID 1 of the namespaces that hold a real Kubernetes node (or
// a builder). The kernel ends everything inside when it ends, so killing this
// one process leaves no process and no mount behind.
package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"github.com/inhaul/inhaul/lab/cluster"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/process"
)

// Words that [Run] writes, one per line, for the program that started it.
const (
	NetworkReady = "network"
	AllStarted   = "started"
)

// Attributes starts a program in the namespaces that [Run] expects.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
}

// JailAttributes starts a program in the namespaces that [Jail] expects. The
// network stays the host's.
func JailAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
}

// Run sets the namespaces up, starts the components of the cluster and stays
// until ctx ends or one of them does. Progress goes to report.
func Run(ctx context.Context, c cluster.Config, report io.Writer, logger *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := prepareMounts(c.Lab); err != nil {
		return fmt.Errorf("preparing mounts: %w", err)
	}
	if err := prepareNetwork(ctx); err != nil {
		return fmt.Errorf("preparing the network: %w", err)
	}
	if c.Lab.Walled {
		if err := prepareWorld(ctx, c.Lab); err != nil {
			return fmt.Errorf("preparing the world outside: %w", err)
		}
	}
	if err := prepareCgroups(layout.Cgroup); err != nil {
		return fmt.Errorf("preparing cgroups: %w", err)
	}
	tell(report, NetworkReady)

	s := newSupervisor(logger)
	ends := make(chan exit)
	go s.reap(ctx, ends) // ends with ctx; as PID 1 this process ends right after
	go func() {
		for {
			select {
			case e := <-ends:
				log := c.Lab.Log(e.name)
				cancel(fmt.Errorf("%s ended: %s; the end of %s:\n%s", e.name, describe(e.status), log, process.Tail(log)))
			case <-ctx.Done():
				return
			}
		}
	}()
	err := c.Start(ctx, func(p cluster.Component) error {
		return s.start(p.Name, p.Path, p.Args, c.Lab.Log(p.Name))
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil { // a component ended, and who waited for it gave up
			return cause
		}
		return err
	}
	tell(report, AllStarted)
	<-ctx.Done()
	return context.Cause(ctx)
}

// Jail runs one program in namespaces of its own until it ends.
func Jail(ctx context.Context, args []string, logger *slog.Logger) error {
	if err := privateMounts(); err != nil {
		return fmt.Errorf("preparing mounts: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := newSupervisor(logger)
	ends := make(chan exit)
	if err := s.start(args[0], args[0], args, ""); err != nil {
		return err
	}
	go s.reap(ctx, ends) // ends with ctx
	select {
	case e := <-ends:
		return fmt.Errorf("%s ended: %s", e.name, describe(e.status))
	case <-ctx.Done():
		return nil
	}
}

// Await reads words of [Run] until it sees the wanted one.
func Await(r *bufio.Scanner, word string) error {
	for r.Scan() {
		if r.Text() == word {
			return nil
		}
	}
	if err := r.Err(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("waiting for the node's %s: %w", word, err)
	}
	return fmt.Errorf("waiting for the node's %s: the node ended", word)
}

func tell(w io.Writer, word string) {
	_, _ = fmt.Fprintln(w, word) // up may have left; the node stays
}
