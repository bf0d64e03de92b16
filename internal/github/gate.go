package github

import (
	"context"
	"time"
)

// gate lets one caller in at a time; unlike a mutex, a caller whose context ends stops waiting.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }

// writeGate serialises writes and keeps them apart.
type writeGate struct {
	gate
	last *time.Time // end of the last write; guarded by gate
}

func newWriteGate() writeGate { return writeGate{gate: newGate(), last: new(time.Time)} }

// enter returns when no other write is under way and spacing has passed since the last one.
func (g writeGate) enter(ctx context.Context, now time.Time, spacing time.Duration) error {
	if err := g.gate.enter(ctx); err != nil {
		return err
	}
	if g.last.IsZero() {
		return nil
	}
	// A clock that was set back must not hold writes for longer than one spacing.
	wait := min(spacing-now.Sub(*g.last), spacing)
	if err := pause(ctx, wait); err != nil {
		g.gate.leave()
		return err
	}
	return nil
}

func (g writeGate) leave(now time.Time) {
	*g.last = now
	g.gate.leave()
}

// pause waits for d or for the end of ctx, whichever comes first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
