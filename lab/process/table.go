package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// gentleTime is what a gentle process gets between SIGTERM and SIGKILL.
const gentleTime = 3 * time.Second

// Table is the file that remembers a lab's processes. It may be used
// concurrently by one program; two programs need a lock of their own.
type Table struct {
	path string

	mu      sync.Mutex // guards records
	records []Record
}

// Open reads the table at path; a missing file is an empty table.
func Open(path string) (*Table, error) {
	t := &Table{path: path}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &t.records)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the table of processes: %w", err)
	}
	return t, nil
}

// Records returns what was started and not yet stopped.
func (t *Table) Records() []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.records)
}

// Spec describes a process to start.
type Spec struct {
	Name    string
	Path    string
	Args    []string // argv, with argv[0]
	Env     []string // nil means the caller's
	Log     string   // file for stdout and stderr, appended to
	Gentle  bool
	Sys     *syscall.SysProcAttr // nil means a session of its own
	Inherit []*os.File           // descriptors 3, 4, …
}

// Process is a started process.
type Process struct {
	Record
	Log string
	// Exited yields once, when the process has ended; only while this program lives.
	Exited <-chan error
}

// Start starts a process that outlives the caller and writes it down.
func (t *Table) Start(s Spec) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(s.Log), 0o755); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	defer log.Close()
	if s.Sys == nil {
		s.Sys = &syscall.SysProcAttr{Setsid: true}
	}
	cmd := &exec.Cmd{Path: s.Path, Args: s.Args, Env: s.Env, Dir: "/", Stdout: log, Stderr: log, SysProcAttr: s.Sys, ExtraFiles: s.Inherit}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	record := Record{Name: s.Name, PID: cmd.Process.Pid, Command: s.Args, Gentle: s.Gentle}
	if stat, err := readStat(record.PID); err == nil { // a child not waited for keeps its entry
		record.Start = stat.start
	}
	if err := t.add(record); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	exited := make(chan error, 1)
	// Ends with the process, or with this program: starting detached is the point.
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		exited <- err
	}()
	return &Process{record, s.Log, exited}, nil
}

// Stop ends the processes of these names, all without a name, the newest first,
// and forgets them. With hurry, gentle processes get no time either.
func (t *Table) Stop(ctx context.Context, hurry bool, names ...string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ending, staying []Record
	for _, r := range slices.Backward(t.records) {
		if len(names) == 0 || slices.Contains(names, r.Name) {
			ending = append(ending, r)
		} else {
			staying = append(staying, r)
		}
	}
	slices.Reverse(staying)
	if err := end(ctx, ending, hurry); err != nil {
		return err
	}
	t.records = staying
	return t.save()
}

// end returns when every process is gone.
func end(ctx context.Context, records []Record, hurry bool) error {
	var errs []error
	for _, r := range records {
		s := unix.SIGKILL
		if r.Gentle && !hurry {
			s = unix.SIGTERM
		}
		errs = append(errs, r.send(s))
	}
	gentle, cancel := context.WithTimeout(ctx, gentleTime)
	defer cancel()
	for _, r := range records {
		if !r.wait(gentle) {
			errs = append(errs, r.send(unix.SIGKILL))
		}
	}
	hard, cancel := context.WithTimeout(ctx, 2*gentleTime)
	defer cancel()
	for _, r := range records {
		if !r.wait(hard) {
			errs = append(errs, fmt.Errorf("ending %s: process %d is still there", r.Name, r.PID))
		}
	}
	return errors.Join(errs...)
}

func (t *Table) add(r Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, r)
	return t.save()
}

// save writes the records down, or removes the file of an empty table; callers
// hold mu.
func (t *Table) save() error {
	if len(t.records) == 0 {
		if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the table of processes: %w", err)
		}
		return nil
	}
	content, err := json.MarshalIndent(t.records, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the table of processes: %w", err)
	}
	if err := writeWhole(t.path, content); err != nil {
		return fmt.Errorf("writing the table of processes: %w", err)
	}
	return nil
}
