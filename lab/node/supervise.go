package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor starts children and reaps everything: as PID 1 of a namespace the
// program inherits every orphan.
type supervisor struct {
	logger *slog.Logger

	mu    sync.Mutex // guards names
	names map[int]string
}

func newSupervisor(logger *slog.Logger) *supervisor {
	return &supervisor{logger: logger, names: map[int]string{}}
}

// start runs a child with both outputs appended to a file ("" means the own stderr).
func (s *supervisor) start(name, path string, args []string, logFile string) error {
	out := os.Stderr
	if logFile != "" {
		f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("opening the log of %s: %w", name, err)
		}
		defer f.Close()
		out = f
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	s.mu.Lock() // held until the name is known: reap must not see the child first
	defer s.mu.Unlock()
	p, err := os.StartProcess(path, args, &os.ProcAttr{Dir: "/", Env: os.Environ(), Files: []*os.File{null, out, out}})
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	s.names[p.Pid] = name
	s.logger.Debug("started", "name", name)
	return p.Release()
}

// exit is the end of a child that start started.
type exit struct {
	name   string
	status syscall.WaitStatus
}

// reap waits for children until ctx ends and sends the known ones' ends.
func (s *supervisor) reap(ctx context.Context, ends chan<- exit) {
	const pause = 50 * time.Millisecond // between looks while there is nothing to reap
	for ctx.Err() == nil {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err != nil || pid <= 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		s.mu.Lock()
		name, known := s.names[pid]
		delete(s.names, pid)
		s.mu.Unlock()
		if known {
			s.logger.Error("ended", "name", name, "reason", describe(syscall.WaitStatus(status)))
			ends <- exit{name, syscall.WaitStatus(status)}
		}
	}
}

func describe(w syscall.WaitStatus) string {
	if w.Signaled() {
		return "signal " + w.Signal().String()
	}
	return fmt.Sprintf("exit status %d", w.ExitStatus())
}
