package parts

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	heartbeat = 30 * time.Second
	// tailLines of a failed build are shown.
	tailLines = 20
)

// Builder builds parts into a store and says what it does.
type Builder struct {
	Store
	Out io.Writer // progress
	Env []string  // for go; nil means the caller's
}

// Build returns the directory with the part's binaries, building them first
// if they are not cached. Two builds never run at once on a machine.
func (b Builder) Build(ctx context.Context, p Part) (string, error) {
	dir, err := b.Locate(ctx, p)
	if err != nil || p.Cached(dir) {
		return dir, err
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return "", fmt.Errorf("making the cache directory: %w", err)
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if p.Cached(dir) { // somebody else's build was waited for
		return dir, nil
	}
	if err := b.compile(ctx, p, dir); err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	return dir, nil
}

// Locate returns the directory in which the part's binaries are or would be.
func (b Builder) Locate(ctx context.Context, p Part) (string, error) {
	goVersion, err := b.run(ctx, "", "version")
	if err != nil {
		return "", err
	}
	return b.Dir(p, goVersion)
}

// lock waits for the machine's one build slot.
func (b Builder) lock(ctx context.Context) (func(), error) {
	file, err := os.OpenFile(filepath.Join(b.Cache, "build.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the build lock: %w", err)
	}
	for told := false; ; told = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("taking the build lock: %w", err), file.Close())
		}
		if !told {
			fmt.Fprintln(b.Out, "waiting for another build to end")
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		}
	}
}

// compile builds into a temporary directory and renames it, so that an
// interrupted build leaves nothing that looks finished.
func (b Builder) compile(ctx context.Context, p Part, dir string) error {
	source := filepath.Join(b.Source, p.Name)
	var version string
	if p.Stamp != "" {
		v, err := b.run(ctx, source, "list", "-m", "-f", "{{.Version}}", p.Stamp)
		if err != nil {
			return err
		}
		version = v
	}
	flags, err := ldflags(version)
	if err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(b.Cache, ".building-"+p.Name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := os.Chmod(temporary, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-v", "-trimpath", "-ldflags", flags, "-o", temporary + "/"}
	if err := b.watched(ctx, p, source, append(args, p.Packages...)); err != nil {
		return err
	}
	if !p.Cached(temporary) {
		return fmt.Errorf("go build did not make %s", strings.Join(p.Binaries, " and "))
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(temporary, dir)
}

// watched runs go build with a line of progress now and then.
func (b Builder) watched(ctx context.Context, p Part, source string, args []string) error {
	began := time.Now() //nolint:forbidigo // for the user to read only
	fmt.Fprintf(b.Out, "building %s: about %s on two idle cores when nothing is cached, once per version; seconds otherwise\n", p.Name, p.Typical)
	cmd := b.command(ctx, source, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var seen compiled
	var reading sync.WaitGroup
	reading.Go(func() { seen.read(stderr) })
	stop := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(b.Out, "building %s: %s, %d packages compiled\n", p.Name, time.Since(began).Round(time.Second), seen.packages())
			case <-stop:
				return
			}
		}
	})
	reading.Wait()
	err = cmd.Wait()
	close(stop)
	beating.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, seen.tail())
	}
	fmt.Fprintf(b.Out, "built %s in %s\n", p.Name, time.Since(began).Round(100*time.Millisecond))
	return nil
}

// compiled counts the import paths that go build -v prints and keeps the end
// of what it says.
type compiled struct {
	mu    sync.Mutex
	count int
	lines []string
}

func (c *compiled) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // a linker error can be long
	for lines.Scan() {
		line := lines.Text()
		c.mu.Lock()
		if !strings.ContainsAny(line, " \t:#") {
			c.count++
		} else if c.lines = append(c.lines, line); len(c.lines) > tailLines {
			c.lines = c.lines[1:]
		}
		c.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // past an oversized line: keep go from blocking
}

func (c *compiled) packages() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *compiled) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lines, "\n")
}

func (b Builder) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = b.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	return cmd
}

func (b Builder) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := b.command(ctx, dir, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running go %s: %w\n%s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}
