package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/inhaul/inhaul/lab/demo"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/lifecycle"
	"github.com/inhaul/inhaul/lab/parts"
	"github.com/inhaul/inhaul/lab/stage"
)

type demoCommand struct {
	Mode    string `help:"auto is real if it is possible here, else kwok." enum:"auto,kwok,real" default:"auto"`
	Dir     string `help:"State directory of the lab (default: the mode's, with -demo behind it)." type:"path"`
	Install bool   `help:"As root: apt-get install what is missing."`
	Chaos   bool   `help:"Kill the agent at random moments."`
	Seed    uint64 `help:"Of --chaos; 0 takes one from the clock."`
	Keep    bool   `help:"Leave the lab up."`
}

// demoSuffix keeps the demo, which wipes what it played on, off the labs that
// people have.
const demoSuffix = "-demo"

// Run plays the demo on a lab of its own.
func (c *demoCommand) Run(m *machine, ctx *invocation) error {
	builder, err := m.builder()
	if err != nil {
		return err
	}
	began := now()
	up := c.up(m, builder)
	if err := up.Run(ctx); err != nil {
		return err
	}
	s, err := m.stage(up.Dir, m.out)
	if err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = uint64(began.UnixNano())
	}
	d := demo.Demo{Stage: s, Chaos: c.Chaos, Seed: c.Seed, Out: m.out}
	err = d.Run(ctx)
	if c.Keep {
		fmt.Fprintf(m.out, "\nThe lab stays up: eval \"$(bin/lab env --dir %s)\"; end it with bin/lab down --wipe --dir %s\n", s.Lab.Dir, s.Lab.Dir)
		return err
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if downErr := lifecycle.Down(cleanup, s.Lab.Dir, err == nil, io.Discard); downErr != nil && err == nil {
		err = downErr
	}
	if err != nil {
		fmt.Fprintf(m.out, "\nlogs are in %s\n", filepath.Join(s.Lab.Dir, "log"))
	}
	fmt.Fprintf(m.out, "\ndemo: %s in all\n", now().Sub(began).Round(100*time.Millisecond))
	return err
}

// up is the lab of the demo: one of its own.
func (c *demoCommand) up(m *machine, builder parts.Builder) *lifecycle.Up {
	return &lifecycle.Up{
		Mode: layout.Mode(c.Mode), Dir: c.Dir, Suffix: demoSuffix, Install: c.Install,
		Self: m.self, Parts: builder, Getenv: m.getenv, Now: now, Out: m.out, Logger: m.logger,
	}
}

// stage is the team's day on the lab in dir.
func (m *machine) stage(dir string, out io.Writer) (*stage.Stage, error) {
	lab, err := layout.Load(dir)
	if err != nil {
		return nil, err
	}
	builder, err := m.builder()
	if err != nil {
		return nil, err
	}
	return &stage.Stage{Lab: lab, Source: filepath.Dir(filepath.Dir(builder.Source)), Self: m.self, Out: out, Now: now}, nil
}
