package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// annotationWake asks on a Preview for it to be awake, see api/v1alpha1.
const annotationWake = apiGroup + "wake"

// wakeCommand is `inhaul wake`.
type wakeCommand struct {
	Preview string        `arg:"" help:"The preview, pr-N."`
	App     string        `placeholder:"NAME" help:"The app; needed where several have a preview of that number."`
	Wait    bool          `negatable:"" default:"true" help:"Wait until it is awake (the default)."`
	Timeout time.Duration `default:"3m" placeholder:"DURATION" help:"How long to wait (default 3m)."`

	Cluster Connection `embed:""`
}

// Help is shown by --help.
func (wakeCommand) Help() string {
	return `A preview that nobody has used for the platform's time is scaled to zero. This starts its pods
again, as a push to the pull request and the label wake-preview do. One that is awake sleeps as
late as if it had been pushed to now.

Kubernetes decides who may: the ClusterRole inhaul-wake, bound in the agent's namespace. Nothing
else of the preview can be changed with it.

Examples:

    inhaul wake pr-7
    inhaul wake pr-7 --app shop --no-wait

Exit codes: 0 it is awake; 1 it is not, or is yours to mend; 2 ours, or the network's.`
}

// previewShape is the name of a preview.
var previewShape = regexp.MustCompile(`\Apr-[1-9][0-9]{0,9}\z`)

// Run asks for the preview to be awake.
func (o wakeCommand) Run(ctx context.Context, c Commands) error {
	if !previewShape.MatchString(o.Preview) {
		return &fault{what: "the command line is not understood", why: fmt.Sprintf("the preview is %q, want pr-N, with the number of the pull request", o.Preview), next: "inhaul previews lists what there is"}
	}
	cluster, err := c.connect(o.Cluster)
	if err != nil {
		return err
	}
	p, err := o.find(ctx, cluster)
	if err != nil {
		return err
	}
	asked := c.Now()
	if err := o.ask(ctx, cluster, p, asked); err != nil {
		return err
	}
	name := o.Preview + " of " + p.Spec.App
	if p.phase() == previewAwake {
		_, err := fmt.Fprintf(c.Stdout, "%s is awake, and stays so for now\n", name)
		return err
	}
	if _, err := fmt.Fprintf(c.Stdout, "asked for %s to be awake\n", name); err != nil || !o.Wait {
		return err
	}
	return o.await(ctx, c, cluster, p, asked)
}

// find returns the one preview that is meant.
func (o wakeCommand) find(ctx context.Context, cluster Cluster) (previewRecord, error) {
	records, err := cluster.previews(ctx, o.Cluster.Namespace)
	if err != nil {
		return previewRecord{}, err
	}
	var found []previewRecord
	var apps []string
	for _, p := range records {
		if p.environment() == o.Preview && p.phase() != "" && (o.App == "" || p.Spec.App == o.App) {
			found, apps = append(found, p), append(apps, visible(p.Spec.App))
		}
	}
	switch {
	case len(found) == 0:
		return previewRecord{}, &fault{what: "there is no preview " + o.Preview, why: "the agent has none on record that is there", next: "inhaul previews lists what there is; a push to the pull request makes it"}
	case len(found) > 1:
		return previewRecord{}, &fault{what: "several apps have a preview " + o.Preview, why: "they are " + strings.Join(apps, ", "), next: "say which: --app NAME"}
	}
	switch p := found[0]; p.phase() {
	case previewEnding:
		return p, &fault{what: "preview " + o.Preview + " cannot be woken", why: "it is being taken away", next: "a push to the pull request, if it is open, makes it anew"}
	case previewWaiting:
		return p, &fault{what: "preview " + o.Preview + " cannot be woken", why: "there is no room for it", next: "close a pull request that has a preview, or take its label off that keeps it"}
	default:
		return p, nil
	}
}

// ask writes on the record of p that it is to be awake. It is not written on another
// one of that name.
func (o wakeCommand) ask(ctx context.Context, cluster Cluster, p previewRecord, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]any{
		"apiVersion": apiGroup + "v1alpha1", "kind": "Preview",
		"metadata": map[string]any{
			"name": p.Metadata.Name, "namespace": o.Cluster.Namespace, "uid": p.Metadata.UID,
			"annotations": map[string]string{annotationWake: now.UTC().Format(time.RFC3339Nano)},
		},
	})
	if err != nil {
		return err
	}
	switch err := cluster.PreviewLog.Wake(ctx, o.Cluster.Namespace, p.Metadata.Name, body); {
	case errors.Is(err, ErrForbidden):
		return &fault{
			what: "you may not wake " + o.Preview, why: err.Error(),
			next: fmt.Sprintf("ask the platform owner to bind the ClusterRole inhaul-wake to you in namespace %s, or push to the pull request", o.Cluster.Namespace),
		}
	case errors.Is(err, ErrRefused), errors.Is(err, ErrNotFound):
		return &fault{what: "preview " + o.Preview + " was not woken", why: err.Error(), next: "look again: inhaul previews"}
	case err != nil:
		return fmt.Errorf("asking for preview %s to be awake: %w", o.Preview, err)
	}
	return nil
}

// await looks at p until it is awake.
func (o wakeCommand) await(ctx context.Context, c Commands, cluster Cluster, p previewRecord, asked time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	for {
		now, err := o.find(ctx, cluster)
		if fault := (*fault)(nil); errors.As(err, &fault) {
			return err
		}
		if err == nil && now.phase() == previewAwake {
			_, err := fmt.Fprintf(c.Stdout, "awake: %s of %s, %s after you asked\n", o.Preview, p.Spec.App, c.Now().Sub(asked).Round(time.Second/10))
			return err
		}
		select {
		case <-ctx.Done():
			return &fault{
				what: fmt.Sprintf("preview %s is not awake after %s", o.Preview, o.Timeout), why: "the agent does not say so; it may still come",
				next: fmt.Sprintf("look at its pods: kubectl -n %s get pods; and whether this machine's clock is right", shellWord(p.Status.Namespace)),
			}
		case <-time.After(time.Second): // between two looks: pods take seconds
		}
	}
}
