package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// tidy removes what no kept release needs, last of all: objects of older
// releases that the current one does not have, configuration that no kept
// release refers to, and releases beyond the history. An object whose deletion
// was not confirmed stays in its release's inventory and is tried again.
func (a *Agent) tidy(ctx context.Context, line Line) error {
	releases := a.Reader.Releases(line)
	good := current(releases)
	if good == nil {
		return nil // the first release failed: its evidence stays
	}
	app, found := a.app(line.App)
	if !found {
		return nil
	}
	if err := a.markCurrent(ctx, app, line, good.Number); err != nil {
		return err
	}
	keep, whole := a.kept(app, releases, good), []int{good.Number}
	if failed := left(releases); failed != nil {
		whole = append(whole, failed.Number)
	}
	var needed []Object
	newest := releases[len(releases)-1].Number
	for _, r := range releases {
		for _, object := range r.Status.Inventory {
			// Configuration is named by content and small: it stays for as long
			// as a kept release can be rolled back to. The newest predeploy's Job
			// stays as evidence, and so does all of a release that failed and is not
			// rolled back.
			if slices.Contains(whole, r.Number) || keep[r.Number] && object.holdsConfig() || r.Number == newest && object.isJob() {
				needed = append(needed, object)
			}
		}
	}
	for _, r := range releases {
		if r.Number == good.Number || !r.Status.Phase.Terminal() {
			continue
		}
		if err := a.shed(ctx, r, needed, keep[r.Number]); err != nil {
			return err
		}
	}
	return nil
}

// holdsConfig reports whether an object is named by its content.
func (o Object) holdsConfig() bool { return o.Kind == "ConfigMap" || o.Kind == "Secret" }

// isJob reports whether an object is the Job of one of a release's commands: the Jobs
// of a CronJob are in no inventory.
func (o Object) isJob() bool { return o.Kind == "Job" }

// shed deletes what only r has, and r itself unless it is kept.
func (a *Agent) shed(ctx context.Context, r Release, needed []Object, keep bool) error {
	gone := slices.DeleteFunc(slices.Clone(r.Status.Inventory), func(o Object) bool { return slices.Contains(needed, o) })
	if len(gone) > 0 {
		left, err := a.Cleaner.Prune(ctx, r, gone, needed)
		if err != nil {
			return fmt.Errorf("pruning release %d of %s: %w", r.Number, r.Line, err)
		}
		inventory := slices.DeleteFunc(slices.Clone(r.Status.Inventory), func(o Object) bool {
			return slices.Contains(gone, o) && !slices.Contains(left, o)
		})
		if r, err = a.advance(ctx, r, func(s *Status) { s.Inventory = inventory }); err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("pruning release %d of %s: %d objects are not gone yet", r.Number, r.Line, len(left))
		}
	}
	if keep {
		return nil
	}
	err := a.Apps.UpdateApp(ctx, r.Line.App, func(s *AppStatus) { s.forget(r.Line.Environment, r.IssuedAt) })
	if err != nil {
		return fmt.Errorf("forgetting release %d of %s: %w", r.Number, r.Line, err)
	}
	if err := a.Cleaner.Trim(ctx, r); err != nil {
		return fmt.Errorf("trimming release %d of %s: %w", r.Number, r.Line, err)
	}
	return nil
}

// kept are the numbers of the releases that stay: the newest ones, the current
// one, one that failed and whose objects are there still, what is yet to be
// reported, and what could still be published again.
func (a *Agent) kept(app App, releases []Release, good *Release) map[int]bool {
	keep := map[int]bool{}
	if failed := left(releases); failed != nil {
		keep[failed.Number] = true
	}
	for i, r := range releases {
		recent := i >= len(releases)-max(app.History, 1)
		replayable := a.now().Sub(r.IssuedAt) < intent.MaxClockSkew+time.Minute
		unreported := slices.ContainsFunc(a.ways, func(way Way) bool { return r.late(way, releases).unreported(way) })
		if recent || replayable || r.Number == good.Number || unreported {
			keep[r.Number] = true
		}
	}
	return keep
}

// markCurrent shows on the App which release serves.
func (a *Agent) markCurrent(ctx context.Context, app App, line Line, number int) error {
	for _, marks := range app.Status.Lines {
		if marks.Environment == line.Environment && marks.Current == number {
			return nil
		}
	}
	err := a.Apps.UpdateApp(ctx, app.Name, func(s *AppStatus) {
		for i := range s.Lines {
			if s.Lines[i].Environment == line.Environment {
				s.Lines[i].Current = number
			}
		}
	})
	if err != nil {
		return fmt.Errorf("writing the status of App %s: %w", app.Name, err)
	}
	return nil
}
