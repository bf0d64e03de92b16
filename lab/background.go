package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/inhaul/inhaul/lab/cluster"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/netns"
	"github.com/inhaul/inhaul/lab/node"
	"github.com/inhaul/inhaul/lab/process"
	"github.com/inhaul/inhaul/lab/serve"
)

// Descriptors that `lab up` hands to `lab node`.
const (
	reportFD = 3 // a pipe for progress
	lockFD   = 4 // the machine's lock, held as long as the node lives
)

type serveCommand struct {
	Dir  string `required:"" type:"path"`
	Node int    `help:"A process in the real node's network."`
}

// Run serves until it is told to end.
func (c *serveCommand) Run(m *machine, ctx *invocation) error {
	lab, err := layout.Load(c.Dir)
	if err != nil {
		return err
	}
	return serve.Run(ctx, lab, c.Node, m.logger.With("component", "serve"))
}

type nodeCommand struct {
	Dir string `required:"" type:"path"`
}

// Run is PID 1 of a real node.
func (c *nodeCommand) Run(m *machine, ctx *invocation) error {
	if os.Getpid() != 1 {
		return errors.New("lab node is PID 1 of namespaces that only lab up makes")
	}
	report := os.NewFile(reportFD, "report")
	held := os.NewFile(lockFD, "lock")
	defer held.Close()
	lab, err := layout.Load(c.Dir)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(lab.TokenFile())
	if err != nil {
		return fmt.Errorf("reading the registry's token: %w", err)
	}
	config := cluster.Config{Lab: lab, Token: strings.TrimSpace(string(token))}
	return node.Run(ctx, config, report, m.logger.With("component", "node"))
}

type jailCommand struct {
	Command []string `arg:"" passthrough:""`
}

// Run is PID 1 around one program.
func (c *jailCommand) Run(m *machine, ctx *invocation) error {
	if os.Getpid() != 1 {
		return errors.New("lab jail is PID 1 of namespaces that only lab up makes")
	}
	return node.Jail(ctx, withoutDash(c.Command), m.logger.With("component", "jail"))
}

type superviseCommand struct {
	PidFile string   `required:"" type:"path"`
	Command []string `arg:"" passthrough:""`
}

// Run keeps one program running until it is told to end.
func (c *superviseCommand) Run(m *machine, ctx *invocation) error {
	argv := withoutDash(c.Command)
	if len(argv) == 0 {
		return errors.New("no program given")
	}
	return process.Supervise(ctx, c.PidFile, argv, os.Stdout, m.logger.With("component", "supervise"))
}

type forwardCommand struct {
	Forwards []string `arg:"" help:"LISTEN=TARGET"`
}

// Run carries connections until it is told to end.
func (c *forwardCommand) Run(m *machine, ctx *invocation) error {
	group, inner := errgroup.WithContext(ctx)
	for _, s := range c.Forwards {
		f, err := netns.ParseForward(s)
		if err != nil {
			return err
		}
		group.Go(func() error { return f.Run(inner, m.logger) })
	}
	return group.Wait()
}
