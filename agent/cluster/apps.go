package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// maxAttempts is how often a status is written again after a conflict. The
// agent alone writes it, so one retry is the rule.
const maxAttempts = 5

// Apps returns every App of the agent's namespace, sorted by name, this
// process's own writes included.
func (c *Client) Apps() []agent.App {
	previews := map[string][]agent.Preview{}
	for _, o := range c.previewResources() {
		p := domainPreview(o)
		previews[p.Line.App] = append(previews[p.Line.App], p)
	}
	var apps []agent.App
	for _, o := range c.appResources() {
		apps = append(apps, domainApp(o).With(sorted(previews[o.Name])))
	}
	slices.SortFunc(apps, func(a, b agent.App) int { return cmp.Compare(a.Name, b.Name) })
	return apps
}

// sorted puts previews in the order of their pull requests, which is the same for
// everybody who asks.
func sorted(previews []agent.Preview) []agent.Preview {
	number := func(p agent.Preview) int { n, _ := spec.PreviewNumber(p.Line.Environment); return n }
	slices.SortFunc(previews, func(x, y agent.Preview) int { return cmp.Compare(number(x), number(y)) })
	return previews
}

func (c *Client) appResources() []*v1alpha1.App {
	var cached []object
	for _, o := range c.informers["App"].GetStore().List() {
		cached = append(cached, last(o))
	}
	var apps []*v1alpha1.App
	for _, o := range c.apps.merge(cached, func(object) bool { return false }) {
		if app, ok := o.(*v1alpha1.App); ok {
			apps = append(apps, app)
		}
	}
	return apps
}

// UpdateApp changes the status of the named App. Nothing is written if change
// changes nothing. The marks of previews are written to these, before the App: what
// is forgotten there is on record here.
func (c *Client) UpdateApp(ctx context.Context, name string, change func(*agent.AppStatus)) error {
	var app *v1alpha1.App
	for _, known := range c.appResources() {
		if known.Name == name {
			app = known
		}
	}
	err := errors.New("no such App")
	for attempt := range maxAttempts {
		if app == nil || attempt > 0 {
			if app, err = c.readApp(ctx, name); err != nil {
				break
			}
		}
		status, marked := c.changed(app, change)
		if err = c.writeMarks(ctx, marked); err != nil {
			break
		}
		changed := app.DeepCopy()
		changed.Status = appStatusResource(status)
		if equality.Semantic.DeepEqual(changed.Status, app.Status) {
			return nil
		}
		if err = c.writeApp(ctx, changed); !apierrors.IsConflict(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("updating app %s: %w", name, err)
	}
	return nil
}

// changed is the status of app after change, and the previews whose marks it changed.
func (c *Client) changed(app *v1alpha1.App, change func(*agent.AppStatus)) (agent.AppStatus, []agent.Preview) {
	var previews []agent.Preview
	for _, o := range c.previewResources() {
		if o.Spec.App == app.Name {
			previews = append(previews, domainPreview(o))
		}
	}
	whole := domainApp(app).With(previews)
	change(&whole.Status)
	marked := whole.Part(&whole.Status)
	return whole.Status, marked
}

// writeMarks makes the marks of previews durable. A preview that was destroyed
// meanwhile, or is deployed to, has marks of its own by then: none is lowered.
func (c *Client) writeMarks(ctx context.Context, marked []agent.Preview) error {
	for _, m := range marked {
		_, err := c.KeepPreview(ctx, m.Line, func(p *agent.Preview) error { p.Raise(m.Marks); return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) readApp(ctx context.Context, name string) (*v1alpha1.App, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	app := &v1alpha1.App{}
	err := c.clients.custom.Get().Namespace(c.namespace).Resource(v1alpha1.Apps).Name(name).Do(ctx).Into(app)
	return app, err
}

func (c *Client) writeApp(ctx context.Context, app *v1alpha1.App) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	updated := &v1alpha1.App{}
	err := c.clients.custom.Put().Namespace(c.namespace).Resource(v1alpha1.Apps).Name(app.Name).SubResource("status").
		VersionedParams(&metav1.UpdateOptions{FieldManager: render.Manager}, c.clients.codec).
		Body(app).Do(ctx).Into(updated)
	if err == nil {
		updated.SetManagedFields(nil)
		c.apps.wrote(updated)
	}
	return err
}
