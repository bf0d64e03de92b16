package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	killPatience = 7 * time.Second  // for the agent to come to the point where it dies
	leaseTime    = 15 * time.Second // how long a silent leader keeps the others waiting
)

// fault is one way in which the world of the agents breaks. Only one is under way
// at a time.
type fault struct {
	name string
	// often is its weight among all.
	often int
	// want is the work that lets the agent meet the fault; the zero value: any.
	want work
	// begin breaks the world. The result puts it right again once the agent has had
	// to deal with it, and reports whether it had to.
	begin func(ctx context.Context, c *chaos) (end func(context.Context) (hit bool, err error), err error)
}

// faults are all of them.
func faults() []fault {
	all := []fault{
		{name: "agent: SIGKILL at a random time", often: 8, begin: signal("KILL", "leader")},
		{name: "agent: SIGTERM, another leads", often: 5, begin: signal("TERM", "leader")},
		{name: "agent: all SIGKILLed at once", often: 3, begin: signal("KILL", "all")},
		{name: "agent: paused past its lease, then woken", often: 3, begin: pause},
		{name: "API server: killed and restarted", often: 8, begin: restart},
		{name: "clock: wrong by minutes", often: 4, begin: skew(2*time.Minute, 10*time.Minute)},
		{name: "clock: wrong by an hour", often: 4, begin: skew(30*time.Minute, time.Hour)},
		{name: "registry: 503", often: 4, begin: registryFault(map[string]any{"status": 503, "count": 6})},
		{name: "registry: 429", often: 2, begin: registryFault(map[string]any{"status": 429, "count": 3})},
		{name: "registry: slow", often: 2, begin: registryFault(map[string]any{"delay": "2s", "count": 3})},
		{name: "registry: down for seconds", often: 3, begin: registryFault(map[string]any{"status": 503, "method": "GET"})},
		{name: "GitHub: 403 rate limit", often: 3, begin: githubFault(map[string]any{"status": 403, "retryAfter": "1s", "count": 2})},
		{name: "GitHub: 403 without a word of limits", often: 2, begin: githubFault(map[string]any{"status": 403, "body": `{"message":"Resource not accessible by integration"}`})},
		{name: "GitHub: 401", often: 2, begin: githubFault(map[string]any{"status": 401, "body": `{"message":"Bad credentials"}`})},
		{name: "GitHub: 429", often: 3, begin: githubFault(map[string]any{"status": 429, "retryAfter": "2s", "count": 2})},
		{name: "GitHub: 500", often: 3, begin: githubFault(map[string]any{"status": 500, "count": 4})},
		{name: "GitHub: down for seconds", often: 3, begin: githubFault(map[string]any{"status": 503, "count": -1})},
		{name: "GitHub: slow", often: 3, begin: githubFault(map[string]any{"delay": "3s", "count": 3})},
		{name: "GitHub: garbage", often: 3, begin: githubFault(map[string]any{"status": 200, "body": "<html>unicorn", "count": 2})},
		{name: "GitHub: done, and garbage for an answer", often: 3, begin: githubFault(map[string]any{"status": 200, "body": "{", "after": true, "count": 2, "method": "POST"})},
		{name: "GitHub: connections cut", often: 3, begin: githubFault(map[string]any{"drop": true, "count": 3})},
		{name: "GitHub: done, and the answer lost", often: 4, begin: githubFault(map[string]any{"drop": true, "after": true, "count": 2})},
	}
	for _, point := range []struct {
		method string
		most   int // the highest N
		want   work
	}{
		{"List", 3, nil},
		{"Fetch", 2, nil},
		{"CreateRelease", 2, nil},
		{"UpdateApp", 3, nil},
		{"UpdateRelease", 8, nil},
		{"Objects", 2, nil},
		{"Apply", 2, nil},
		{"Watch", 2, nil},
		{"StartTask", 1, (*chaos).predeploy},
		{"WatchTask", 1, (*chaos).predeploy},
		{"Prune", 2, (*chaos).predeploy},
		{"Trim", 1, nil},
		{"Testimony", 1, (*chaos).broken},
		{"Drifted", 3, nil},
		{"Settle", 1, (*chaos).stranger},
		{"Conclude", 1, (*chaos).ask},
		{"Show", 5, nil},
		{"ShowDeployment", 3, nil},
		{"ShowComment", 1, nil},
		{"Write", 10, nil},
		{"Write", 24, (*chaos).predeploy},
	} {
		for _, when := range []string{"before", "after"} {
			name := "dies " + when + " " + point.method
			all = append(all, fault{name: name, often: 2 + point.most/4, want: point.want, begin: die(point.method+":"+when, point.most)})
		}
	}
	return all
}

// choose takes a fault by weight.
func choose(all []fault, random *rand.Rand) fault {
	total := 0
	for _, f := range all {
		total += f.often
	}
	n := random.IntN(total)
	for _, f := range all {
		if n -= f.often; n < 0 {
			return f
		}
	}
	return all[0]
}

// die lets the agent that comes there kill itself at the N-th time.
func die(point string, most int) func(context.Context, *chaos) (func(context.Context) (bool, error), error) {
	return func(_ context.Context, c *chaos) (func(context.Context) (bool, error), error) {
		file := filepath.Join(c.folder, "kill")
		order := fmt.Sprintf("%d %s %d", c.random.Uint64(), point, 1+c.random.IntN(most))
		return func(ctx context.Context) (bool, error) {
			for deadline := time.Now().Add(killPatience); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
				if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
					return true, nil
				}
			}
			err := os.Remove(file) // who removes it decides
			return errors.Is(err, fs.ErrNotExist), nil
		}, replaceFile(file, order)
	}
}

// replaceFile writes a file so that a reader sees all of it or nothing.
func replaceFile(file, content string) error {
	if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func signal(name, which string) func(context.Context, *chaos) (func(context.Context) (bool, error), error) {
	return func(_ context.Context, c *chaos) (func(context.Context) (bool, error), error) {
		wait := time.Duration(c.random.Int64N(int64(4 * time.Second)))
		return func(ctx context.Context) (bool, error) {
			time.Sleep(wait)
			_, err := c.team.run(ctx, "agent", "kill", "--which", which, "--signal", name)
			return err == nil, nil // an error: none leads just now
		}, nil
	}
}

// pause stops the leader until another one leads, and wakes it.
func pause(_ context.Context, c *chaos) (func(context.Context) (bool, error), error) {
	wait := time.Duration(c.random.Int64N(int64(3 * time.Second)))
	return func(ctx context.Context) (bool, error) {
		time.Sleep(wait)
		name, pid, err := c.leader(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // none leads just now
		}
		number := strings.TrimPrefix(name, "lab-")
		if number == name {
			number = "1"
		}
		if _, err := c.team.run(ctx, "agent", "kill", "--which", number, "--signal", "STOP"); err != nil {
			return false, nil //nolint:nilerr // it ended meanwhile
		}
		for deadline := time.Now().Add(2 * leaseTime); time.Now().Before(deadline); time.Sleep(time.Second) {
			if now, _, err := c.leader(ctx); err == nil && now != name {
				break
			}
		}
		woken := time.Now()
		if _, err := c.team.run(ctx, "agent", "kill", "--which", number, "--signal", "CONT"); err != nil {
			return false, err
		}
		time.Sleep(2 * time.Second)
		return true, c.wroteSince(pid, woken)
	}, nil
}

// leader is the identity and the process of the agent that leads.
func (c *chaos) leader(ctx context.Context) (identity, pid string, err error) {
	status, err := c.team.run(ctx, "agent", "status")
	if err != nil {
		return "", "", err
	}
	for row := range strings.Lines(status) {
		if fields := strings.Fields(row); len(fields) > 1 && fields[len(fields)-1] == "leader" {
			return fields[0], fields[1], nil
		}
	}
	return "", "", errors.New("no agent leads")
}

// wroteSince is an error if a process changed something in the cluster with a
// request that it sent after that moment.
func (c *chaos) wroteSince(pid string, moment time.Time) error {
	content, err := os.ReadFile(filepath.Join(c.folder, "writes."+pid))
	if err != nil {
		return err
	}
	for row := range strings.Lines(string(content)) {
		var sent, answered int64
		var status int
		var method, path string
		if _, err := fmt.Sscan(row, &sent, &answered, &status, &method, &path); err != nil {
			return fmt.Errorf("reading %q: %w", row, err)
		}
		if time.UnixMilli(sent).After(moment) && status < http.StatusMultipleChoices && status > 0 {
			return fmt.Errorf("a leader that was paused past its lease wrote when it woke: %s %s: %d", method, path, status)
		}
	}
	return nil
}

// restart kills the API server, now or in a moment, for up to 6 seconds.
func restart(_ context.Context, c *chaos) (func(context.Context) (bool, error), error) {
	wait := time.Duration(c.random.Int64N(int64(3 * time.Second)))
	down := time.Duration(c.random.Int64N(int64(6 * time.Second)))
	return func(ctx context.Context) (bool, error) {
		time.Sleep(wait)
		_, err := c.team.run(ctx, "restart", "--down", down.String())
		return err == nil, err
	}, nil
}

// skew makes the agents' clock wrong for a while.
func skew(least, most time.Duration) func(context.Context, *chaos) (func(context.Context) (bool, error), error) {
	return func(_ context.Context, c *chaos) (func(context.Context) (bool, error), error) {
		by := least + time.Duration(c.random.Int64N(int64(most-least)))
		if c.random.IntN(2) == 0 {
			by = -by
		}
		last := 3*time.Second + time.Duration(c.random.Int64N(int64(5*time.Second)))
		file := filepath.Join(c.folder, "skew")
		c.clockWrong.Store(true)
		c.want.skewed = true
		c.undecided()
		return func(context.Context) (bool, error) {
			time.Sleep(last)
			err := os.Remove(file)
			c.clockWrong.Store(false)
			return true, err
		}, replaceFile(file, by.String())
	}
}

// undecided notes what the agents have yet to see: they may see it by a wrong clock.
func (c *chaos) undecided() {
	for _, l := range c.team.lines {
		for _, p := range l.pushes {
			_, admitted := c.ledger.releaseOf(p)
			_, refused := c.ledger.refusalOf(p)
			if !admitted && !refused {
				c.note(p)
			}
		}
	}
}

func registryFault(what map[string]any) func(context.Context, *chaos) (func(context.Context) (bool, error), error) {
	return func(ctx context.Context, c *chaos) (func(context.Context) (bool, error), error) {
		last := 2*time.Second + time.Duration(c.random.Int64N(int64(4*time.Second)))
		return func(ctx context.Context) (bool, error) {
			time.Sleep(last) // the agent looks every second
			return true, c.team.admin(ctx, http.MethodDelete, "faults", nil)
		}, c.team.admin(ctx, http.MethodPost, "faults", what)
	}
}

func githubFault(what map[string]any) func(context.Context, *chaos) (func(context.Context) (bool, error), error) {
	return func(ctx context.Context, c *chaos) (func(context.Context) (bool, error), error) {
		last := 2*time.Second + time.Duration(c.random.Int64N(int64(4*time.Second)))
		before, err := c.requests(ctx)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (bool, error) {
			time.Sleep(last)
			after, err := c.requests(ctx)
			err = errors.Join(err, c.team.lab(ctx, http.MethodDelete, "faults", nil, nil))
			delay, _ := what["delay"].(string)
			late, _ := time.ParseDuration(delay) // 0 if there is none
			time.Sleep(late)                     // what is on its way is part of this fault, not of a death in the next one
			return after > before, err
		}, c.team.lab(ctx, http.MethodPost, "faults", what, nil)
	}
}

// requests is the number of the last request to GitHub.
func (c *chaos) requests(ctx context.Context) (int, error) {
	var log []struct{ ID int }
	err := c.team.lab(ctx, http.MethodGet, "requests", nil, &log)
	if err != nil || len(log) == 0 {
		return 0, err
	}
	return log[len(log)-1].ID, nil
}

// size reads a number of an environment variable.
func size(name string) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return 0
	}
	return n
}
