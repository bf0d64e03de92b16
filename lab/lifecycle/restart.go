package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/lab/cluster"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/process"
)

// APIServer is the program that Restart restarts.
const APIServer = "kube-apiserver"

// Restart kills the API server of the lab in dir, with SIGKILL, leaves it down
// for a while, and returns when a new one is ready. The controller manager starts
// anew then, as one that has lost its own lease does: an old one was seen to wait
// for versions that the new API server does not show it. On simulated nodes only:
// in mode real a process ID means nothing outside of the node.
func Restart(ctx context.Context, dir string, down time.Duration) error {
	unlock, err := Lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	lab, err := layout.Load(dir)
	if err != nil {
		return err
	}
	if lab.Mode != layout.Kwok {
		return fmt.Errorf("restarting the API server: the lab is of mode %s, want %s", lab.Mode, layout.Kwok)
	}
	table, err := process.Open(lab.Processes())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(table.Records(), func(r process.Record) bool { return r.Name == APIServer }) {
		return errors.New("restarting the API server: there is none, run lab up")
	}
	if err := table.Stop(ctx, true, APIServer); err != nil {
		return err
	}
	select {
	case <-time.After(down):
	case <-ctx.Done(): // it comes back all the same: a lab without it is none
	}
	start := func(c cluster.Component) (*process.Process, error) {
		return table.Start(process.Spec{Name: c.Name, Path: c.Path, Args: c.Args, Log: lab.Log(c.Name), Gentle: c.Gentle})
	}
	config := cluster.Config{Lab: lab}
	p, err := start(config.APIServer())
	if err != nil {
		return err
	}
	api, err := cluster.NewAPI(lab)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := api.WaitReady(ctx); err != nil {
		return fmt.Errorf("%w; the end of %s:\n%s", err, p.Log, process.Tail(p.Log))
	}
	manager := config.ControllerManager()
	if err := table.Stop(ctx, true, manager.Name); err != nil {
		return err
	}
	_, err = start(manager)
	return err
}
