package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The answers of the agent to a Rollback.
const (
	answerAdmitted = "Admitted"
	answerRefused  = "Refused"
)

// answered waits until there is a release of the rollback.
func (w *watch) answered(ctx context.Context) error {
	return w.poll(ctx, func(ctx context.Context) (bool, error) {
		data, err := w.cluster.Rollbacks.Rollback(ctx, w.place.namespace, w.name)
		if errors.Is(err, ErrNotFound) {
			return false, &fault{what: "somebody deleted the rollback", why: err.Error(), next: "ask again"}
		}
		var rollback rollbackAnswer
		if err := decoded(data, err, &rollback); err != nil {
			return false, err
		}
		switch rollback.Status.Phase {
		case answerRefused:
			return false, &fault{
				what: "the rollback is refused, and nothing was changed", why: visible(rollback.Status.Message),
				next: fmt.Sprintf("inhaul releases %s --environment %s%s lists what there is", w.place.app, w.place.environment, w.options.flags(w.Commands)),
			}
		case answerAdmitted:
			w.release = rollback.Status.Release
			return true, w.say("%s\n", visible(rollback.Status.Message))
		}
		return false, nil
	})
}

// verdict waits until it is certain how the release went.
func (w *watch) verdict(ctx context.Context) error {
	return w.poll(ctx, func(ctx context.Context) (bool, error) {
		data, err := w.cluster.Releases.Release(ctx, w.place.namespace, fmt.Sprintf("%s-%d", w.place.app, w.release))
		var r record
		if err := decoded(data, err, &r); err != nil {
			return false, err
		}
		switch r.phase() {
		case phaseSucceeded:
			return true, w.live(r)
		case phaseFailed, phaseRolledBack:
			return false, w.failed(r)
		case phaseSuperseded:
			return false, &fault{
				what: fmt.Sprintf("release %d is not live: a newer one took its place", w.release),
				why:  visible(r.Status.Message),
				next: fmt.Sprintf("inhaul releases %s --environment %s%s shows what serves; ask again if that is not what you want", w.place.app, w.place.environment, w.options.flags(w.Commands)),
			}
		}
		if told := r.phase() + ": " + visible(r.Status.Message); r.Status.Message != "" && told != w.told {
			w.told = told
			return false, w.say("%s\n", told)
		}
		return false, nil
	})
}

// live tells what serves, and the way back.
func (w *watch) live(r record) error {
	took := w.Now().Sub(w.asked).Round(100 * time.Millisecond)
	if err := w.say("live: %s runs release %d again (%s), %s after you asked\n", w.place, r.Spec.Restore, visible(r.Spec.ShortCommit), took); err != nil {
		return err
	}
	if w.before == 0 || w.before == r.Spec.Restore { // nothing that can be brought back was live before
		return nil
	}
	return w.say("way back: inhaul rollback %s --environment %s --to %d%s\n", w.place.app, w.place.environment, w.before, w.options.flags(w.Commands))
}

// failed tells why the release failed, what serves now, and what to do next.
func (w *watch) failed(r record) error {
	why := []string{visible(r.Status.Message)}
	next := fmt.Sprintf("kubectl%s -n %s describe release %s-%d", w.options.clusterFlags(), shellWord(w.place.namespace), w.place.app, w.release)
	if cause := r.Status.Cause; cause != nil {
		why, next = []string{visible(cause.Message)}, cmp.Or(visible(cause.Next), next)
		for line := range strings.Lines(cause.Log) {
			why = append(why, "| "+visible(strings.TrimRight(line, "\n")))
		}
	}
	what := fmt.Sprintf("the rollback failed: release %d is not live", w.release)
	if r.Status.RestoredTo != 0 {
		what += fmt.Sprintf(", and release %d serves as before", r.Status.RestoredTo)
	}
	return &fault{what: what, why: strings.Join(why, "\n"), next: next}
}

// poll looks until look is done, or its error is a fault. What the network does
// meanwhile is told if the time is up.
func (w *watch) poll(ctx context.Context, look func(context.Context) (bool, error)) error {
	var trouble error
	for {
		done, err := w.glance(ctx, look)
		if f, final := errors.AsType[*fault](err); done || final {
			if final {
				return f
			}
			return err
		}
		if errors.Is(err, ErrForbidden) {
			return unanswered("how the rollback goes", err, "")
		}
		if ctx.Err() == nil {
			trouble = err
		}
		select {
		case <-ctx.Done():
			return w.unfinished(ctx, trouble)
		case <-time.After(pollInterval):
		}
	}
}

func (w *watch) glance(ctx context.Context, look func(context.Context) (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	return look(ctx)
}

// unfinished is what is known when nobody waits any longer.
func (w *watch) unfinished(ctx context.Context, trouble error) error {
	what, why := "there is no verdict", fmt.Sprintf("the agent has not taken rollback %s in namespace %s", w.name, w.place.namespace)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		what += " after " + w.options.Timeout.String()
	default:
		what += ": you stopped waiting"
	}
	next := fmt.Sprintf("does the agent run? kubectl -n %s get pods; it takes a rollback within an hour, or refuses it", w.options.Cluster.Namespace)
	if w.release != 0 {
		why = fmt.Sprintf("release %d is on its way: %s", w.release, cmp.Or(w.told, phasePending))
		next = fmt.Sprintf("it goes on without you: inhaul releases %s --environment %s%s", w.place.app, w.place.environment, w.options.flags(w.Commands))
	}
	if trouble != nil {
		why += "\nlast answer of the cluster: " + trouble.Error()
	}
	return &fault{what: what, why: why, next: next}
}

// decoded reads an answer of the cluster.
func decoded(data []byte, err error, into any) error {
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
