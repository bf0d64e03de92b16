package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/inhaul/inhaul/spec"
	"github.com/inhaul/inhaul/spec/convert"
)

// convertCommand is `inhaul convert`.
type convertCommand struct {
	Dir    string `arg:"" optional:"" default:"." help:"Folder with the manifests; nothing outside it is read."`
	Output string `short:"o" placeholder:"FILE" help:"Write to FILE, which must not exist yet, instead of standard output."`
	Force  bool   `help:"Replace the file that --output names."`
}

// Help is shown by --help.
func (convertCommand) Help() string {
	return `Reads Procfile and app.json, porter.yaml or serverless.yml. The inhaul.yaml goes to standard output;
what has no counterpart in it goes to standard error, each with the reason, and is no failure.

Examples:

    inhaul convert                      # look at it
    inhaul convert -o inhaul.yaml       # keep it
    inhaul convert services/shop | inhaul validate -`
}

// Run converts the folder's manifests.
func (o convertCommand) Run(c Commands) error {
	if o.Force && o.Output == "" {
		return &fault{what: "nothing to replace", why: "--force is given without --output", next: "inhaul convert --output inhaul.yaml --force"}
	}
	var result convert.Result
	// An inhaul.yaml beside the manifests is no reason to refuse:
	// `inhaul convert >inhaul.yaml` has made one already.
	err := c.Files.Read(o.Dir, func(folder fs.FS) (err error) {
		result, err = convert.Named(plain{FS: folder, hidden: defaultFile}, filepath.Base(filepath.Clean(o.Dir)))
		return err
	})
	if err != nil {
		return unconverted(o.Dir, err)
	}
	if err := o.write(c, result.YAML); err != nil {
		return err
	}
	c.warn("inhaul: made from %s\n", strings.Join(result.From, ", "))
	if len(result.Unmapped) == 0 {
		c.warn("inhaul: everything was mapped\n")
		return nil
	}
	c.warn("inhaul: not mapped, %d in all:\n", len(result.Unmapped))
	for _, unmapped := range result.Unmapped {
		unmapped.File = path.Join(shown(o.Dir), unmapped.File)
		c.warn("  %s\n", printable(unmapped.String()))
	}
	return nil
}

// unconverted is the fault of a folder that could not be converted.
func unconverted(dir string, err error) error {
	if mistakes, placed := errors.AsType[spec.Errors](err); placed {
		mistakes = slices.Clone(mistakes)
		for i := range mistakes {
			mistakes[i].File = path.Join(shown(dir), mistakes[i].File)
		}
		return mistakes
	}
	f := &fault{what: "nothing was converted", why: err.Error(), next: "mend that, or write inhaul.yaml by hand: docs/inhaul-yaml.md"}
	if of, ok := errors.AsType[*fs.PathError](err); ok && of.Path == dir {
		f.why, f.next = fmt.Sprintf("folder %s: %v", shown(dir), of.Err), "name the folder of the Procfile, porter.yaml or serverless.yml"
	}
	return f
}

// write puts the inhaul.yaml where it was asked for.
func (o convertCommand) write(c Commands, yaml []byte) error {
	if o.Output == "" {
		_, err := c.Stdout.Write(yaml)
		return err
	}
	err := c.Files.Write(o.Output, yaml, o.Force)
	if err == nil {
		c.warn("inhaul: wrote %s\n", shown(o.Output))
		return nil
	}
	f := &fault{what: shown(o.Output) + " was not written", why: err.Error(), next: "name a file that you may write"}
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		f.why = of.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		f.why, f.next = "it exists already", "look at it; --force replaces it"
	case errors.Is(err, fs.ErrNotExist):
		f.next = "make its folder first"
	}
	return f
}

// printable is text from a foreign file, in one line and without colours: a
// log may take a line for a command.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
