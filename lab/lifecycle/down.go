package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/node"
	"github.com/inhaul/inhaul/lab/process"
)

// Down ends the lab in dir. With wipe its state is removed too.
func Down(ctx context.Context, dir string, wipe bool, out io.Writer) error {
	if !layout.Exists(dir) {
		fmt.Fprintf(out, "no lab in %s\n", dir)
		return nil
	}
	unlock, err := Lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	lab, err := layout.Load(dir)
	if err != nil {
		return err
	}
	table, err := process.Open(lab.Processes())
	if err != nil {
		return err
	}
	if err := stop(ctx, lab, table, wipe); err != nil {
		return err
	}
	if wipe {
		return lab.Wipe()
	}
	return nil
}

// stop ends every process and removes what they left outside the state
// directory. With hurry nothing is written to disk any more.
func stop(ctx context.Context, lab *layout.Lab, table *process.Table, hurry bool) error {
	if err := table.Stop(ctx, hurry); err != nil {
		return err
	}
	var errs []error
	if os.Geteuid() == 0 {
		errs = append(errs, node.RemoveCgroups(ctx, builderCgroup(lab)), removeSocket(lab))
	}
	if lab.Mode == layout.Real {
		errs = append(errs, releaseMachine(ctx, lab))
	}
	if lab.Ready {
		lab.Ready = false
		errs = append(errs, lab.Save())
	}
	return errors.Join(errs...)
}

// releaseMachine removes what mode real keeps at fixed places, unless another
// lab has claimed them.
func releaseMachine(ctx context.Context, lab *layout.Lab) error {
	owner, err := os.ReadFile(layout.RealLock)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the machine's lock: %w", err)
	}
	if len(owner) > 0 && string(owner) != lab.Dir {
		return nil
	}
	node.RemoveNodeDirs(lab.NodeDirs)
	if err := os.Remove(layout.RealLock); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("releasing the machine: %w", err)
	}
	return node.RemoveCgroups(ctx, layout.Cgroup)
}
