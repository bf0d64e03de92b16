package main

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/inhaul/inhaul/lab/image"
	"github.com/inhaul/inhaul/lab/lifecycle"
)

type databasesCommand struct {
	labFlags
	Only string `help:"postgres or redis alone." enum:",postgres,redis" default:""`
}

// Run pushes the images of databases and prints the tag of each.
func (c *databasesCommand) Run(m *machine, ctx *invocation) error {
	lab, _, err := c.load(m)
	if err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		make func(context.Context) (v1.Image, string, error)
	}{{"postgres", image.Postgres}, {"redis", image.Redis}} {
		if c.Only != "" && c.Only != one.name {
			continue
		}
		img, version, err := one.make(ctx)
		if err != nil {
			return err
		}
		reference := "lab/" + one.name + ":" + version
		if _, err := lifecycle.Push(ctx, lab, reference, img); err != nil {
			return err
		}
		fmt.Fprintln(m.out, lab.Registry()+"/"+reference)
	}
	return nil
}
