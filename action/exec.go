package action

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// stopGrace is how long a program may take to stop after the job is cancelled.
const stopGrace = 10 * time.Second

// Programs runs the programs of this machine.
type Programs struct {
	Env []string // as os.Environ gives it; what signs a deploy is kept from the programs
}

var _ Exec = Programs{}

// Run implements Exec. A cancelled ctx interrupts the program first and kills
// it later.
func (p Programs) Run(ctx context.Context, c Command) error {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...) //nolint:gosec // that is what it is for; no shell is involved
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, c.Out, c.Out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopGrace
	for _, variable := range p.Env {
		// A build runs other people's code and needs neither the signing key nor
		// the right to ask for ID tokens.
		if !strings.HasPrefix(variable, "INPUT_") && !strings.HasPrefix(variable, "ACTIONS_ID_TOKEN_REQUEST_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", c.Args[0], err)
	}
	return nil
}
