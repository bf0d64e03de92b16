// Package process starts detached processes, remembers them by process ID and
// start time, and ends only those: a process ID that the kernel gave to
// somebody else meanwhile is left alone.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Record identifies one process on this machine since its last start.
type Record struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	// Start is field 22 of /proc/PID/stat: clock ticks since boot.
	Start   uint64   `json:"start"`
	Command []string `json:"command"`
	// Gentle processes get a SIGTERM and a moment before SIGKILL.
	Gentle bool `json:"gentle,omitempty"`
}

// Alive reports whether the process still runs. A zombie does not.
func (r Record) Alive() bool {
	stat, err := readStat(r.PID)
	return err == nil && stat.start == r.Start && stat.state != 'Z' && stat.state != 'X'
}

// signal sends to this process or to none.
func (r Record) signal(s unix.Signal) error {
	fd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !r.Alive() { // asked after the descriptor is held, so the ID cannot change hands in between
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, s, nil, 0)
}

// pollEvery is how often a wait looks again; ending takes tens of milliseconds.
const pollEvery = 20 * time.Millisecond

// wait returns true once the process is gone, false when ctx ends first.
func (r Record) wait(ctx context.Context) bool {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for r.Alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (r Record) send(s unix.Signal) error {
	if err := r.signal(s); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("ending %s (process %d): %w", r.Name, r.PID, err)
	}
	return nil
}

type stat struct {
	state byte
	start uint64
}

func readStat(pid int) (stat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(line)
}

// parseStat reads state and start time. The command name in parentheses may
// itself hold spaces and parentheses, so fields are counted from the last one.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func parseStat(line []byte) (stat, error) {
	const stateField, startField = 3, 22
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return stat{}, fmt.Errorf("reading process state: no command name in %q", line)
	}
	fields := bytes.Fields(line[i+1:])
	if len(fields) <= startField-stateField {
		return stat{}, fmt.Errorf("reading process state: got %d fields, want more than %d", len(fields), startField-stateField)
	}
	start, err := strconv.ParseUint(string(fields[startField-stateField]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("reading process start time: %w", err)
	}
	return stat{fields[0][0], start}, nil
}
