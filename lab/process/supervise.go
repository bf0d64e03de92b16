package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// restartPause is between two lives of a supervised program: short beside what
// a kubelet takes, long enough for a program that cannot start not to spin.
const restartPause = 200 * time.Millisecond

// Supervise runs a program again and again, as a kubelet does with a container,
// until ctx ends; then the program is killed and gone. pidFile holds the process
// ID of the program's present or last life, and is gone when Supervise returns.
// The kernel ends the program together with this one, however that ends.
func Supervise(ctx context.Context, pidFile string, argv []string, out io.Writer, logger *slog.Logger) (err error) {
	defer func() {
		if removed := os.Remove(pidFile); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}()
	// The kernel watches the thread that starts the program, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		if err := oneLife(ctx, pidFile, argv, out, logger); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(restartPause):
		}
	}
}

// oneLife starts the program and returns when it has ended.
func oneLife(ctx context.Context, pidFile string, argv []string, out io.Writer, logger *slog.Logger) error {
	program := &exec.Cmd{Path: argv[0], Args: argv, Stdout: out, Stderr: out, SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
	if err := program.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", argv[0], err)
	}
	unwatch := context.AfterFunc(ctx, func() { _ = program.Process.Kill() }) // an error: it has ended
	defer unwatch()
	err := writeWhole(pidFile, []byte(strconv.Itoa(program.Process.Pid)))
	if err != nil {
		_ = program.Process.Kill()
	}
	ended := program.Wait()
	logger.Info("the program ended", "name", filepath.Base(argv[0]), "error", ended)
	return err
}

// writeWhole writes a file so that a reader sees all of it or nothing.
func writeWhole(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
