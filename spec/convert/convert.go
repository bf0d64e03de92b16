// Package convert reads how other platforms know an app – a Procfile with its
// app.json, a porter.yaml v2, a serverless.yml – and says it as an inhaul.yaml.
//
// Start with Convert. Every key of every file that was read is either in the
// result or in Result.Unmapped with the reason: nothing is dropped in silence.
// The package opens files only through the fs.FS that it is given.
package convert

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// Result is an app, said as inhaul.yaml says it.
type Result struct {
	YAML     []byte     // an inhaul.yaml, with comments where something needs a person; spec parses it
	From     []string   // the files that were read, in the order in which they were
	Unmapped []Unmapped // sorted by file and line
}

// Unmapped is something in a file that inhaul.yaml does not say, or that needs
// a person before a deploy does what it did elsewhere.
type Unmapped struct {
	File   string
	Line   int    // from 1
	Key    string // path of the key, as in services[0].ingressAnnotations; empty: the whole line
	Reason string
}

func (u Unmapped) String() string {
	if u.Key == "" {
		return fmt.Sprintf("%s:%d: %s", u.File, u.Line, u.Reason)
	}
	return fmt.Sprintf("%s:%d: %s: %s", u.File, u.Line, u.Key, u.Reason)
}

// DefaultName is the name of an app whose files give it none.
const DefaultName = "app"

// The files that are read.
const (
	inhaulFile   = "inhaul.yaml"
	procfile     = "Procfile"
	appFile      = "app.json"
	porterFile   = "porter.yaml"
	dockerfile   = "Dockerfile"
	herokuFile   = "heroku.yml"
	maxFileBytes = spec.MaxFileBytes
)

// serverlessFiles are the names that the Serverless Framework looks for; its
// programs (serverless.ts, serverless.js) cannot be read.
func serverlessFiles() []string { return []string{"serverless.yml", "serverless.yaml"} }

// Convert reads the first of porter.yaml, serverless.yml and Procfile with
// app.json that is in files, whose root is the app's folder. All mistakes are
// returned at once, as spec.Errors, each with its file, line and column.
func Convert(files fs.FS) (Result, error) { return Named(files, DefaultName) }

// Named is Convert with the name of an app whose files give it none, for
// instance that of its repository; it is made a valid name.
func Named(files fs.FS, name string) (Result, error) {
	c := newConversion(files, name)
	result := c.run()
	if len(c.errs) > 0 {
		slices.SortStableFunc(c.errs, func(a, b spec.Error) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return Result{}, c.errs
	}
	return result, nil
}

// conversion is one call of Convert.
type conversion struct {
	files      fs.FS
	fallback   string // name of an app without one
	credential func(value string) (what string, found bool)
	from       []string
	roots      []*node // of the manifests that were read
	unmapped   []Unmapped
	errs       spec.Errors
}

func newConversion(files fs.FS, name string) *conversion {
	return &conversion{files: files, fallback: Name(name), credential: spec.Credentials()}
}

// place is where something stands in a file.
type place struct {
	file         string
	line, column int // from 1
}

// maxErrors is more than anyone reads at once.
const maxErrors = 100

// fail records a mistake.
func (c *conversion) fail(at place, format string, args ...any) {
	if len(c.errs) == maxErrors {
		return
	}
	c.errs = append(c.errs, spec.Error{File: at.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// say records something for Result.Unmapped.
func (c *conversion) say(at place, key, format string, args ...any) {
	c.unmapped = append(c.unmapped, Unmapped{File: at.file, Line: at.line, Key: key, Reason: fmt.Sprintf(format, args...)})
}

func (c *conversion) run() Result {
	if c.exists(inhaulFile) {
		c.fail(place{inhaulFile, 1, 1}, "it is there already: edit it, or move it away to convert the other files anew")
		return Result{}
	}
	text := c.write(c.drafts())
	if len(c.errs) > 0 {
		return Result{}
	}
	for _, root := range c.roots {
		root.rest()
	}
	c.sayUnread()
	slices.SortStableFunc(c.unmapped, func(a, b Unmapped) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Reason, b.Reason))
	})
	return Result{YAML: text, From: c.from, Unmapped: slices.Compact(c.unmapped)}
}

// drafts returns the apps that the files describe; none after a mistake.
func (c *conversion) drafts() []*draft {
	if c.exists(porterFile) {
		return c.porter()
	}
	for _, name := range serverlessFiles() {
		if c.exists(name) {
			return c.serverless(name)
		}
	}
	if c.exists(procfile) || c.exists(appFile) {
		return c.heroku()
	}
	for _, name := range []string{"serverless.ts", "serverless.js"} {
		if c.exists(name) {
			c.fail(place{name, 1, 1}, "it is a program, which is not run here: write what `serverless print` says into serverless.yml")
			return nil
		}
	}
	c.fail(place{procfile, 1, 1}, "nothing to convert: want a Procfile, porter.yaml or serverless.yml here, or write an inhaul.yaml")
	return nil
}

// sayUnread names the files that others made superfluous.
func (c *conversion) sayUnread() {
	for _, name := range append([]string{porterFile, procfile, appFile, herokuFile}, serverlessFiles()...) {
		said := slices.ContainsFunc(c.unmapped, func(u Unmapped) bool { return u.File == name })
		if !said && !slices.Contains(c.from, name) && c.exists(name) {
			c.say(place{name, 1, 1}, "", "the file was not read, because the app is in %s", strings.Join(c.from, " and "))
		}
	}
}
