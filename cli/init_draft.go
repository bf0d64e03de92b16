package cli

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// draft is what a new inhaul.yaml says of the one service that it has.
type draft struct {
	Port              int
	Run               string // empty: what the image runs
	PortFrom, RunFrom string // where that is from
}

// dockerfile says how the image is made.
const dockerfile = "Dockerfile"

// defaultPort is what a service listens on that is told nothing else, see spec.
const defaultPort = 8080

// exposed is a port in a Dockerfile, or the default of a variable for one.
var exposed = regexp.MustCompile(`^(\d{1,5})(/tcp)?$`)

// readDraft looks at the Dockerfile and at package.json, and says what there
// should be.
func readDraft(files fs.FS) (draft, []string) {
	d := draft{Port: defaultPort, PortFrom: "given to it as PORT"}
	data, err := readCapped(files, dockerfile, maxManifest)
	if err != nil {
		return d, []string{"write a Dockerfile: it says how the image is made"}
	}
	runs := false
	for _, line := range instructions(string(data)) {
		name, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(name) {
		case "FROM": // only the last stage is the image
			runs, d.Port, d.PortFrom = false, defaultPort, "given to it as PORT"
		case "CMD", "ENTRYPOINT":
			runs = true
		case "EXPOSE":
			for word := range strings.FieldsSeq(rest) {
				if found := exposed.FindStringSubmatch(word); found != nil && d.PortFrom != "EXPOSE in the Dockerfile" {
					if port, _ := strconv.Atoi(found[1]); port > 0 && port < 1<<16 { // digits only
						d.Port, d.PortFrom = port, "EXPOSE in the Dockerfile"
					}
				}
			}
		}
	}
	if !runs && hasStart(files) {
		d.Run, d.RunFrom = "npm start", "start in package.json; the Dockerfile has no CMD"
	}
	return d, nil
}

// instructions are the lines of a Dockerfile, continued ones in one.
func instructions(text string) []string {
	var lines []string
	open := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		rest, goesOn := strings.CutSuffix(line, `\`)
		if open {
			lines[len(lines)-1] += " " + rest
		} else {
			lines = append(lines, rest)
		}
		open = goesOn
	}
	return lines
}

// hasStart reports whether package.json says how to start.
func hasStart(files fs.FS) bool {
	data, err := readCapped(files, "package.json", maxManifest)
	var manifest struct {
		Scripts struct {
			Start string `json:"start"`
		} `json:"scripts"`
	}
	return err == nil && json.Unmarshal(data, &manifest) == nil && manifest.Scripts.Start != ""
}
