package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
)

// Inspection reads what is there in a cluster.
type Inspection interface {
	// Read returns what the API server has at a path, with its query: an object, a
	// list, or the log of a pod.
	Read(ctx context.Context, path string) ([]byte, error)
}

// Trials are objects that are made to try something, and deleted again.
type Trials interface {
	// Make makes an object among those at a path.
	Make(ctx context.Context, path string, object []byte) error
	// Delete deletes the object at a path. One that is not there is ErrNotFound.
	Delete(ctx context.Context, path string) error
}

// doctorCommand is `inhaul doctor`.
type doctorCommand struct {
	Previews doctorPreviewsCommand `cmd:"" help:"Say whether previews are set up, and walled in."`
}

// doctorPreviewsCommand is `inhaul doctor previews`.
type doctorPreviewsCommand struct {
	App      string `placeholder:"NAME" help:"Look at this app alone."`
	Probe    bool   `help:"Try connections too, from a pod in a namespace that is made for it and deleted."`
	Image    string `default:"busybox" placeholder:"IMAGE" help:"What the pods of --probe run: an image with sh and nc (default busybox)."`
	Internet string `default:"1.1.1.1:443" placeholder:"HOST:PORT" help:"What --probe takes for the internet (default 1.1.1.1:443)."`
	JSON     bool   `name:"json" help:"Print a JSON array instead of a table."`

	Cluster Connection `embed:""`
}

// Help is shown by --help.
func (doctorPreviewsCommand) Help() string {
	return `Each check is ✓ (fine), ✗ (to be mended, and how), or – (not looked at, and why). What you may
not read is –. Nothing is changed anywhere, but with --probe: it makes a namespace
inhaul-doctor-* with the NetworkPolicy that previews have by default and two pods, tries what
they reach, and deletes it, 90 seconds later at most. If it could not:

    kubectl delete namespace -l app.kubernetes.io/managed-by=inhaul-doctor

Examples:

    inhaul doctor previews
    inhaul doctor previews --probe --image registry.example.com/busybox:1.37

Exit codes: 0 nothing to mend; 1 something is yours to mend; 2 ours, or the network's.`
}

// errUnwell says that something is to be mended, which was told.
var errUnwell = errors.New("something is to be mended")

// The states of a finding.
const (
	fine    = "fine"
	unwell  = "mend"
	unknown = "unknown"
)

// finding is what came of a check, as --json prints it.
type finding struct {
	Check string `json:"check"`
	State string `json:"state"` // fine, mend, or unknown
	Found string `json:"found"`
	Next  string `json:"next,omitempty"` // how it is mended
}

// Run looks at all of it.
func (o doctorPreviewsCommand) Run(ctx context.Context, c Commands) error {
	if _, _, err := o.internet(); err != nil {
		return err
	}
	cluster, err := c.connect(o.Cluster)
	if err != nil {
		return err
	}
	d := doctor{cluster: cluster, agent: o.Cluster.Namespace, app: o.App, now: c.Now()}
	findings, err := d.examine(ctx)
	if err != nil {
		return err
	}
	if o.Probe {
		probed, err := o.probe(ctx, c, d)
		if f, ok := errors.AsType[*fault](err); ok && ctx.Err() == nil {
			probed = []finding{{"the probe", unwell, f.what + ": " + f.why, f.next}} // what is known already is told all the same
		} else if err != nil {
			return err
		}
		findings = append(findings, probed...)
	}
	if err := o.print(c, findings); err != nil {
		return err
	}
	for _, f := range findings {
		if f.State == unwell {
			return errUnwell
		}
	}
	return nil
}

func (o doctorPreviewsCommand) print(c Commands, findings []finding) error {
	if o.JSON {
		encoder := json.NewEncoder(c.Stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(findings)
	}
	marks := map[string]string{fine: "✓", unwell: "✗", unknown: "–"}
	table := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range findings { // Flush tells
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", marks[f.State], visible(f.Check), visible(f.Found))
		if f.Next != "" {
			_, _ = fmt.Fprintf(table, "\t\tmend: %s\n", visible(f.Next))
		}
	}
	return table.Flush()
}

// maxTold is how many things of one kind are named.
const maxTold = 5

// few is a short list of names.
func few(names []string) string {
	if len(names) > maxTold {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxTold], ", "), len(names)-maxTold)
	}
	return strings.Join(names, ", ")
}

// judge is a finding: fine unless something is wrong.
func judge(check, good string, wrong []string, next string) finding {
	if len(wrong) > 0 {
		return finding{check, unwell, few(wrong), next}
	}
	return finding{check, fine, good, ""}
}
