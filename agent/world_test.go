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

	born      time.Time // when its first agent started, at lunch
	app       App
	gone      bool              // somebody has deleted the App
	others    []App             // beside it, without intents
	envelopes map[string][]byte // by tag
	notices   []Notice
	releases  []Release
	changed   chan Line
	version   int
	live      map[string]string             // service object to image: what Apply wrote last
	applied   []int                         // release numbers in the order of Apply
	broken    map[string]bool               // images whose pods crash
	refused   map[string]*Rejected          // by image: Apply says so
	tasks     map[string]task               // by image: how its predeploy goes
	jobs      map[int]*job                  // of predeploys, by release number; made by StartTask
	chores    map[string]*job               // of seeds and teardowns, by namespace and kind
	ran       []string                      // seeds and teardowns in the order in which they were made, "seed 1"
	onTask    func(Release, TaskKind) error // before a Job is made; nil: nothing special
	checks    map[string]Check              // by external ID
	made      int                           // check runs created
	mute      bool                          // there is no GitHub App
	desk      desk
	hub       hub
	meter     Meter // of every agent; nil: nobody counts
	pulse     Pulse // of every agent; nil: nobody watches

	pruned []Object
	// What strangers and the agent have done to what serves; see driftworld_test.go.
	accepted map[Object]string // images that were reported
	reverted []Object
	rival    string                      // puts this image in the place of what is put back
	onDrift  func(Release)               // at each look
	onLook   func(context.Context) error // at the end of a look that found something
	// What a test has the world do instead; nil: nothing special.
	onApply func(context.Context, Release) error // before anything is written
	onWrite func(context.Context, Release) error // after everything is written
	onWatch func(Release, *ServiceObservation)
	onPods  func(context.Context, Release, func(Observation) bool) error // instead of what is seen
	onMake  func(Release) error
	onShow  func(Check) error
	onAsk   func(Question) Evidence

	previews []Preview
	spaces   map[string]*space // namespaces of previews, by name
	sweeping *sweeping         // nil: nothing is swept
	basin    *basin            // their databases; nil: none

	questions []Question
	silent    bool                               // the API server does not tell whether a Job is there
	onList    func(context.Context) error        // instead of the registry's answer
	onSend    func(context.Context, Check) error // as onShow, and may hang
}

var errDead = errors.New("the agent is dead")

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return &world{
		app: testApp(tb), envelopes: map[string][]byte{}, live: map[string]string{}, broken: map[string]bool{},
		refused: map[string]*Rejected{}, tasks: map[string]task{}, jobs: map[int]*job{}, chores: map[string]*job{}, checks: map[string]Check{}, accepted: map[Object]string{}, changed: make(chan Line, 1000), hub: newHub(),
		spaces: map[string]*space{},
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
	w.notices = append(w.notices, Notice{Tag: tag, Environment: r.statement().Predicate.Environment, IssuedAt: r.issuedAt, DigestPrefix: prefix(digest)})
}

func (w *world) List(ctx context.Context, repository string) (all []Notice, err error) {
	if repository != w.app.Intents {
		return nil, nil
	}
	if w.onList != nil {
		if err := w.onList(ctx); err != nil {
			return nil, err
		}
	}
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
	if w.gone {
		return w.others
	}
	app.Status.Lines, app.Status.Refusals = slices.Clone(app.Status.Lines), slices.Clone(app.Status.Refusals)
	return append([]App{app.With(w.previews)}, w.others...)
}

func (w *world) UpdateApp(ctx context.Context, _ string, change func(*AppStatus)) error {
	return w.call(ctx, func() error {
		app := w.app.With(w.previews)
		app.Status.Refusals = slices.Clone(app.Status.Refusals)
		change(&app.Status)
		for _, p := range app.Part(&app.Status) {
			w.keepPreview(p)
		}
		w.app.Status = app.Status
		return nil
	})
}

func (w *world) CreateRelease(ctx context.Context, r Release) (Release, error) {
	err := w.call(ctx, func() error {
		if w.onMake != nil {
			if err := w.onMake(r); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(w.releases, func(old Release) bool { return old.Number == r.Number && old.Line == r.Line }) {
			return ErrExists
		}
		if err := w.settleIn(r); err != nil {
			return err
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
	r.Version, r.Asleep = strconv.Itoa(w.version), false // which is of the preview's record
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

func (w *world) Objects(_ context.Context, r Release) (objects []Object, err error) {
	for _, s := range r.App.Services {
		objects = append(objects, Object{Kind: "Deployment", Name: s.Name}, Object{Kind: "ConfigMap", Name: s.Name + "-" + s.Env["RUN"]})
	}
	return objects, nil
}

func (w *world) Apply(ctx context.Context, r Release) (inventory []Object, err error) {
	if w.onApply != nil {
		if err := w.onApply(ctx, r); err != nil {
			return nil, err
		}
	}
	err = w.call(ctx, func() error {
		if rejected := w.refused[r.Image]; rejected != nil {
			return rejected
		}
		w.applied = append(w.applied, r.Number)
		for _, s := range r.App.Services {
			w.live[s.Name] = r.Image
		}
		inventory, _ = w.Objects(ctx, r)
		return nil
	})
	if err == nil && w.onWrite != nil {
		err = w.onWrite(ctx, r)
	}
	return inventory, err
}

func (w *world) Watch(ctx context.Context, r Release, see func(Observation) bool) error {
	if w.onPods != nil {
		return w.onPods(ctx, r, see)
	}
	var o Observation
	if err := w.call(ctx, func() error {
		for _, s := range r.App.Services {
			pod := PodObservation{Name: s.Name, Ready: !w.broken[r.Image], ReadyAt: noon(), CreatedAt: r.Status.At(StepApplied)}
			if w.broken[r.Image] {
				pod.Containers = []ContainerObservation{{Name: s.Name, Ended: 2, ExitCode: 3}}
			}
			service := ServiceObservation{Name: s.Name, Desired: 1, Observed: true, Updated: 1, Pods: []PodObservation{pod}}
			if w.onWatch != nil {
				w.onWatch(r, &service)
			}
			o.Services = append(o.Services, service)
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

func (w *world) Prune(ctx context.Context, _ Release, gone, _ []Object) ([]Object, error) {
	return nil, w.call(ctx, func() error {
		w.pruned = append(w.pruned, gone...)
		for _, o := range gone {
			delete(w.live, o.Name)
			for _, j := range w.jobs {
				j.gone = j.gone || o == j.object
			}
			for _, j := range w.chores {
				j.gone = j.gone || o == j.object
			}
		}
		return nil
	})
}

func (w *world) Trim(ctx context.Context, r Release) error {
	return w.call(ctx, func() error {
		w.releases = slices.DeleteFunc(w.releases, func(old Release) bool { return old.Number == r.Number && old.Line == r.Line })
		return nil
	})
}

func (w *world) Evidence(ctx context.Context, r Release, q Question) (e Evidence) {
	err := w.call(ctx, func() error {
		w.questions = append(w.questions, q)
		if w.onAsk != nil {
			e = w.onAsk(q)
		}
		e.Missing = q.Job && !w.silent && (w.jobOf(r, TaskKind(q.Name)) == nil || w.jobOf(r, TaskKind(q.Name)).observe().Missing)
		return nil
	})
	e.Unread = e.Unread || err != nil
	return e
}

func (w *world) Testimony(_ context.Context, _ Release, c Cause) Cause {
	if c.Pod != "" {
		c.Log = "cannot reach the database"
	}
	return c
}

func (w *world) Show(ctx context.Context, c Check) (id int64, err error) {
	if w.onShow != nil {
		if err := w.onShow(c); err != nil {
			return 0, err
		}
	}
	if w.onSend != nil {
		if err := w.onSend(ctx, c); err != nil {
			return 0, err
		}
	}
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
func (w *world) run() { w.runUntil(w.now().Add(settled), nil) }

// now is the world's time: lunch when its first agent started.
func (w *world) now() time.Time {
	if w.born.IsZero() {
		w.born = time.Now()
	}
	return lunch().Add(time.Since(w.born))
}

// runUntil lets an agent work on the world, from lunch on or from where the last
// one left it, until the given time, beside whatever happens meanwhile.
func (w *world) runUntil(end time.Time, meanwhile func()) {
	ctx, cancel := context.WithTimeout(context.Background(), end.Sub(w.now()))
	defer cancel()
	w.mu.Lock()
	w.die = cancel
	w.mu.Unlock()
	ports := Ports{Registry: w, Keys: w, Apps: w, Releases: w, Reader: w, Planner: w, Cluster: w, Tasks: w, Cleaner: w, Drifts: w, Witness: w, Requests: w, Requesters: w, Previews: w, Records: w, Namespaces: w, Tenancies: w}
	w.connect(&ports)
	w.connectSweep(&ports)
	if w.basin != nil {
		ports.Databases, ports.Clones = w.basin, w.basin
	}
	ports.Meter, ports.Pulse = w.meter, w.pulse
	a := New(ports, Config{PollInterval: 10 * time.Second, Logger: slog.New(slog.DiscardHandler), Now: w.now})
	if meanwhile != nil {
		go meanwhile()
	}
	_ = a.Run(ctx)
	synctest.Wait()
}
