package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// world is what outlives the agent: a registry, a cluster and GitHub, all in
// memory. Every call to it can be the one in which the agent dies.
type world struct {
	mu        sync.Mutex
	calls     int
	dieAt     int  // the call in which the agent dies; 0: never
	mourned   bool // the death is known
	dieBefore bool // before the call has done anything, else after
	die       context.CancelFunc

	app       App
	envelopes map[string][]byte // by tag
	notices   []Notice
	releases  []Release
	changed   chan Line
	version   int
	live      map[string]string // service object to image: what Apply wrote last
	applied   []int             // release numbers in the order of Apply
	broken    map[string]bool   // images whose pods crash
	checks    map[string]Check  // by external ID
	made      int               // check runs created
}

var errDead = errors.New("the agent is dead")

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return &world{
		app: testApp(tb), envelopes: map[string][]byte{}, live: map[string]string{}, broken: map[string]bool{},
		checks: map[string]Check{}, changed: make(chan Line, 1000),
	}
}

// call runs do under the lock, unless the agent dies there.
func (w *world) call(ctx context.Context, do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	fatal := w.calls == w.dieAt
	if fatal {
		w.die()
	}
	if ctx.Err() != nil && !fatal || fatal && w.dieBefore {
		return errDead
	}
	err := do()
	if fatal {
		return errDead
	}
	return err
}

func (w *world) publish(tb testing.TB, r run) {
	tb.Helper()
	data, digest := envelope(tb, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	tag := strconv.Itoa(len(w.notices))
	w.envelopes[tag] = data
	w.notices = append(w.notices, Notice{Tag: tag, Environment: "production", IssuedAt: r.issuedAt, DigestPrefix: prefix(digest)})
}

func (w *world) List(ctx context.Context, _ string) (all []Notice, err error) {
	err = w.call(ctx, func() error { all = slices.Clone(w.notices); return nil })
	return all, err
}

func (w *world) Fetch(ctx context.Context, _, tag string) (data []byte, err error) {
	err = w.call(ctx, func() error { data = w.envelopes[tag]; return nil })
	return data, err
}

func (w *world) Apps() []App {
	w.mu.Lock()
	defer w.mu.Unlock()
	app := w.app
	app.Status.Lines, app.Status.Refusals = slices.Clone(app.Status.Lines), slices.Clone(app.Status.Refusals)
	return []App{app}
}

func (w *world) UpdateApp(ctx context.Context, _ string, change func(*AppStatus)) error {
	return w.call(ctx, func() error { change(&w.app.Status); return nil })
}

func (w *world) CreateRelease(ctx context.Context, r Release) (Release, error) {
	err := w.call(ctx, func() error {
		if slices.ContainsFunc(w.releases, func(old Release) bool { return old.Number == r.Number && old.Line == r.Line }) {
			return ErrExists
		}
		return w.write(&r)
	})
	return r, err
}

func (w *world) UpdateRelease(ctx context.Context, r Release) (Release, error) {
	err := w.call(ctx, func() error {
		i := slices.IndexFunc(w.releases, func(old Release) bool { return old.Number == r.Number && old.Line == r.Line })
		if i < 0 || w.releases[i].Version != r.Version {
			return ErrConflict
		}
		w.releases = slices.Delete(w.releases, i, i+1)
		return w.write(&r)
	})
	return r, err
}

// write needs the lock.
func (w *world) write(r *Release) error {
	w.version++
	r.Version = strconv.Itoa(w.version)
	w.releases = append(w.releases, *r)
	slices.SortFunc(w.releases, func(x, y Release) int { return x.Number - y.Number })
	w.changed <- r.Line
	return nil
}

func (w *world) Releases(line Line) []Release {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.releases), func(r Release) bool { return r.Line != line })
}

func (w *world) Changed() <-chan Line { return w.changed }

func (w *world) Apply(ctx context.Context, r Release) (inventory []Object, err error) {
	err = w.call(ctx, func() error {
		w.applied = append(w.applied, r.Number)
		for _, s := range r.App.Services {
			w.live[s.Name] = r.Image
			inventory = append(inventory, Object{Kind: "Deployment", Name: s.Name}, Object{Kind: "ConfigMap", Name: s.Name + "-" + s.Env["RUN"]})
		}
		return nil
	})
	return inventory, err
}

func (w *world) Watch(ctx context.Context, r Release, see func(Observation) bool) error {
	var o Observation
	if err := w.call(ctx, func() error {
		for _, s := range r.App.Services {
			pod := PodObservation{Name: s.Name, Ready: !w.broken[r.Image], ReadyAt: noon(), CreatedAt: noon()}
			if w.broken[r.Image] {
				pod.Containers = []ContainerObservation{{Name: s.Name, Ended: 2, ExitCode: 3}}
			}
			o.Services = append(o.Services, ServiceObservation{Name: s.Name, Desired: 1, Observed: true, Updated: 1, Pods: []PodObservation{pod}})
		}
		return nil
	}); err != nil {
		return err
	}
	if !see(o) {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (w *world) Prune(ctx context.Context, gone, _ []Object) ([]Object, error) {
	return nil, w.call(ctx, func() error {
		for _, o := range gone {
			delete(w.live, o.Name)
		}
		return nil
	})
}

func (w *world) Trim(ctx context.Context, r Release) error {
	return w.call(ctx, func() error {
		w.releases = slices.DeleteFunc(w.releases, func(old Release) bool { return old.Number == r.Number })
		return nil
	})
}

func (w *world) Testimony(context.Context, Release, Cause) (string, []string) {
	return "cannot reach the database", nil
}

func (w *world) Show(ctx context.Context, c Check) (id int64, err error) {
	err = w.call(ctx, func() error {
		old, found := w.checks[c.ExternalID]
		if !found {
			w.made++
			old.ID = int64(w.made)
		}
		if old.Status == Completed && c.Status != Completed {
			return fmt.Errorf("check run %d went from %s back to %s", old.ID, old.Conclusion, c.Status)
		}
		c.ID = old.ID
		w.checks[c.ExternalID] = c
		return nil
	})
	return w.checks[c.ExternalID].ID, err
}

func (w *world) Keys(context.Context, string) (jose.JSONWebKeySet, error) {
	return jose.JSONWebKeySet{}, nil
}

func (w *world) Refresh(context.Context, string) (jose.JSONWebKeySet, error) {
	return jose.JSONWebKeySet{}, nil
}

// died reports, once, whether the agent has died.
func (w *world) died() bool {
	died := w.dieAt > 0 && w.calls >= w.dieAt && !w.mourned
	w.mourned = w.mourned || died
	return died
}

// run lets an agent work on the world until it dies or has settled. Inside a synctest bubble that takes no time.
func (w *world) run() {
	ctx, cancel := context.WithTimeout(context.Background(), settled)
	defer cancel()
	w.mu.Lock()
	w.die = cancel
	w.mu.Unlock()
	start := time.Now()
	a := New(Ports{Registry: w, Keys: w, Apps: w, Releases: w, Reader: w, Cluster: w, Cleaner: w, Witness: w, Checks: w},
		Config{
			PollInterval: 10 * time.Second, Logger: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return noon().Add(time.Hour + time.Since(start)) },
		})
	_ = a.Run(ctx)
	synctest.Wait()
}
