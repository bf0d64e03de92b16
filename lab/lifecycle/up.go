// Package lifecycle brings a lab up and down.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/parts"
	"github.com/inhaul/inhaul/lab/process"
)

// startTimeout bounds everything after the builds. It takes 10 s on two idle
// cores, and 16 s were seen beside a compile.
const startTimeout = 3 * time.Minute

// Up is one `lab up`.
type Up struct {
	Mode       layout.Mode
	Dir        string // empty means the mode's default, with Suffix behind it
	Suffix     string
	Install    bool   // may run apt-get
	Kubeconfig string // somebody's own cluster
	NoBuilder  bool
	Walled     bool // NetworkPolicies are in force; mode real only

	Self   string // path of this program
	Parts  parts.Builder
	Getenv func(string) string
	Now    func() time.Time
	Out    io.Writer
	Logger *slog.Logger

	lab    *layout.Lab
	table  *process.Table
	token  string
	cancel context.CancelCauseFunc
}

// Run brings the lab up, or says that it is up. On any error, and when ctx
// ends, everything that was started is ended again.
func (u *Up) Run(ctx context.Context) error {
	mode, err := u.decide(ctx)
	if err != nil {
		return err
	}
	if u.Dir, err = filepath.Abs(u.StateDir(mode)); err != nil {
		return err
	}
	if err := os.MkdirAll(u.Dir, 0o755); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	unlock, err := Lock(u.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	u.lab = &layout.Lab{Dir: u.Dir, Mode: mode, Walled: u.Walled}
	running, err := u.resume(ctx)
	if err != nil || running {
		return err
	}
	if err := u.build(ctx); err != nil {
		return err
	}
	began := u.Now()
	if err := u.start(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted, ending what was started: %w", context.Cause(ctx))
		}
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
		defer cancel()
		return errors.Join(err, stop(cleanup, u.lab, u.table, true))
	}
	u.say("lab is up: mode %s, %s, in %s", mode, u.Dir, u.Now().Sub(began).Round(100*time.Millisecond))
	u.say(`next: eval "$(lab env --dir %s)"`, u.Dir)
	return nil
}

// StateDir is the directory of a lab of that mode.
func (u *Up) StateDir(mode layout.Mode) string {
	if u.Dir != "" {
		return u.Dir
	}
	return layout.DefaultDir(u.Getenv, mode) + u.Suffix
}

// resume looks at what an earlier up left: a running lab is kept, the remains
// of a broken one are ended, and the ports are used again.
func (u *Up) resume(ctx context.Context) (running bool, err error) {
	if u.table, err = process.Open(u.lab.Processes()); err != nil {
		return false, err
	}
	if !layout.Exists(u.Dir) {
		return false, nil
	}
	old, err := layout.Load(u.Dir)
	if err != nil {
		return false, err
	}
	records := u.table.Records()
	alive := func(r process.Record) bool { return r.Alive() }
	switch {
	case old.Mode != u.lab.Mode && slices.ContainsFunc(records, alive):
		return false, fmt.Errorf("%s holds a lab of mode %s, want %s: run lab down, or choose another --dir", u.Dir, old.Mode, u.lab.Mode)
	case old.Mode != u.lab.Mode:
		return false, fmt.Errorf("%s was made by mode %s, want %s: run lab down --wipe, or choose another --dir", u.Dir, old.Mode, u.lab.Mode)
	case old.Ready && len(records) > 0 && !slices.ContainsFunc(records, func(r process.Record) bool { return !r.Alive() }):
		u.say("lab is already up")
		return true, Print(u.Out, old, records)
	case len(records) > 0:
		u.say("ending what an earlier up left behind")
		if err := stop(ctx, old, u.table, false); err != nil {
			return false, err
		}
	}
	u.lab.Ports = old.Ports
	return false, nil
}

// start does everything after the builds.
func (u *Up) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ctx, u.cancel = context.WithCancelCause(ctx)
	defer u.cancel(nil)
	if err := u.prepare(ctx); err != nil {
		return err
	}
	nodePID, started, err := u.startNode(ctx)
	if err != nil {
		return u.explain(ctx, err)
	}
	if err := u.startServe(ctx, nodePID); err != nil {
		return u.explain(ctx, err)
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return u.pushOwnImages(inner) })
	group.Go(func() error { return u.startBuilder(inner) })
	group.Go(func() error { return u.startCluster(inner, started) })
	if err := group.Wait(); err != nil {
		return u.explain(ctx, err)
	}
	u.lab.Ready = true
	return u.lab.Save()
}

// watch makes the end of a process the end of up.
func (u *Up) watch(p *process.Process) {
	go func() { // ends with the process or with this program
		u.cancel(&endedError{p.Name, p.Log, <-p.Exited})
	}()
}

// endedError is the unexpected end of a process.
type endedError struct {
	name, log string
	cause     error
}

func (e *endedError) Error() string { return fmt.Sprintf("%s ended: %v", e.name, e.cause) }
func (e *endedError) Unwrap() error { return e.cause }

// explain prefers the process that ended over those who then waited in vain,
// and adds the end of its log.
func (u *Up) explain(ctx context.Context, err error) error {
	const patience = 200 * time.Millisecond // a broken pipe is seen before the process's end
	select {
	case <-ctx.Done():
	case <-time.After(patience):
	}
	var ended *endedError
	if !errors.As(context.Cause(ctx), &ended) {
		return err
	}
	return fmt.Errorf("%w; the end of %s:\n%s", ended, ended.log, process.Tail(ended.log))
}

func (u *Up) say(format string, args ...any) { fmt.Fprintf(u.Out, format+"\n", args...) }

// Lock keeps two commands that start or end processes out of one state
// directory.
func Lock(dir string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another lab command works in %s: %w", dir, err), file.Close())
	}
	return func() {
		// Said aloud: a child that is just being started holds the file for a moment.
		_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
		file.Close()
	}, nil
}
