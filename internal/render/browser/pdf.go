// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/fault"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"

	"github.com/platen-dev/platen/internal/render"
)

// joinPDF returns one document with the first page of each document, an outline of the pages' names, and a title. Each document is read
// once, and only the joined one is written.
func joinPDF(documents [][]byte, task render.Task) (data []byte, err error) {
	defer fault.Catch(&err)
	var joined *model.Context
	bookmarks := make([]pdfcpu.Bookmark, 0, len(documents))
	for i, d := range documents {
		bookmarks = append(bookmarks, pdfcpu.Bookmark{Title: task.Pages[i].Name, PageFrom: i + 1})
		next, err := readPDF(d)
		if err != nil {
			return nil, err
		}
		if err := trim(next, task, task.Pages[i]); err != nil {
			return nil, err
		}
		if err := ownTargets(next, task.Pages[i]); err != nil {
			return nil, err
		}
		if err := ownTags(next, i+1); err != nil {
			return nil, fmt.Errorf("naming the pages' tags: %w", err)
		}
		if i == 0 {
			joined = next
			continue
		}
		page, _, _, err := next.PageDict(1, false)
		if err != nil {
			return nil, fmt.Errorf("reading a page: %w", err)
		}
		if err := pdfcpu.MergeXRefTables(strconv.Itoa(i), next, joined, false, false); err != nil {
			return nil, fmt.Errorf("joining pages: %w", err)
		}
		if err := joinTags(next, joined, page); err != nil {
			return nil, fmt.Errorf("joining the pages' tags: %w", err)
		}
	}
	// The pages share fonts and pictures from here on.
	if err := pdfcpu.OptimizeXRefTable(joined); err != nil {
		return nil, fmt.Errorf("joining pages: %w", err)
	}
	if err := pdfcpu.AddBookmarks(joined, bookmarks, true); err != nil {
		return nil, fmt.Errorf("adding an outline: %w", err)
	}
	if task.PDF.Title != "" {
		if err := pdfcpu.PropertiesAdd(joined, map[string]string{"Title": task.PDF.Title}); err != nil {
			return nil, fmt.Errorf("adding a title: %w", err)
		}
	}
	return encodePDF(joined)
}

// readPDF returns a document of the browser's.
func readPDF(data []byte) (*model.Context, error) {
	configuration := model.NewDefaultConfiguration()
	configuration.Cmd = model.MERGECREATE
	configuration.CreateBookmarks = false
	document, err := api.ReadAndValidate(bytes.NewReader(data), configuration)
	if err != nil {
		return nil, fmt.Errorf("reading a page: %w", err)
	}
	return document, nil
}

// trim makes the sheet of a document as large as the page. The browser makes it larger, up to a whole number of its units, and shows the page in
// the upper left corner.
func trim(document *model.Context, task render.Task, p render.Page) error {
	dict, _, inherited, err := document.PageDict(1, false)
	if err != nil {
		return fmt.Errorf("reading a page: %w", err)
	}
	sheet := inherited.MediaBox
	points := func(inches float64) float64 { return math.Round(inches*pointsPerInch*1000) / 1000 }
	width, height := sheetSize(task, p)
	dict["MediaBox"] = types.NewNumberArray(0, sheet.Height()-min(points(height), sheet.Height()), min(points(width), sheet.Width()), sheet.Height())
	return nil
}

// ownTargets gives the targets of a page's links names that no other page of the joined document has: pages may use the same ids.
func ownTargets(document *model.Context, p render.Page) error {
	rename := func(name string) string { return fmt.Sprintf("page%d.%s", p.Number, name) }
	targets, err := document.DereferenceDict(document.RootDict["Dests"])
	if err != nil {
		return fmt.Errorf("reading the targets of links: %w", err)
	}
	for _, name := range slices.Collect(maps.Keys(targets)) {
		targets[rename(name)] = targets[name]
		delete(targets, name)
	}
	page, _, _, err := document.PageDict(1, false)
	if err != nil {
		return fmt.Errorf("reading a page: %w", err)
	}
	links, err := document.DereferenceArray(page["Annots"])
	if err != nil {
		return fmt.Errorf("reading links: %w", err)
	}
	for _, object := range links {
		link, err := document.DereferenceDict(object)
		if err != nil {
			return fmt.Errorf("reading a link: %w", err)
		}
		if name, ok := link["Dest"].(types.Name); ok {
			link["Dest"] = types.Name(rename(string(name)))
		}
	}
	return nil
}

// ownTags gives tags that others name, such as the heading of a table's column, names that no other page of the joined document has. They are the
// same in each render: the browser's own names count through all pages of a process. place is the page's in the joined document.
func ownTags(document *model.Context, place int) error {
	root, err := document.DereferenceDict(document.RootDict["StructTreeRoot"])
	if err != nil || root == nil {
		return err
	}
	own := map[string]types.StringLiteral{} // the new names by the old ones
	var index types.Array                   // the new names in order, each with its tag
	var attributes []types.Object
	var walk func(object types.Object) error
	walk = func(object types.Object) error {
		value, err := document.Dereference(object)
		if err != nil {
			return err
		}
		switch o := value.(type) {
		case types.Array:
			for _, kid := range o {
				if err := walk(kid); err != nil {
					return err
				}
			}
		case types.Dict:
			if o["S"] == nil { // a part of the page's content
				return nil
			}
			if id, ok := o["ID"].(types.StringLiteral); ok {
				name := types.StringLiteral(fmt.Sprintf("page%03d.%06d", place, len(own)+1))
				own[id.Value()], o["ID"] = name, name
				index = append(index, name, object)
			}
			attributes = append(attributes, o["A"])
			return walk(o["K"])
		}
		return nil
	}
	if err := walk(root["K"]); err != nil {
		return err
	}
	for _, object := range attributes {
		if err := renameHeaders(document, object, own); err != nil {
			return err
		}
	}
	delete(root, "IDTree")
	if len(index) > 0 {
		root["IDTree"] = types.Dict{"Names": index}
	}
	return nil
}

// renameHeaders gives the headings that the attributes of a table's cell name their new names.
func renameHeaders(document *model.Context, attributes types.Object, names map[string]types.StringLiteral) error {
	value, err := document.Dereference(attributes)
	if err != nil {
		return err
	}
	switch o := value.(type) {
	case types.Array:
		for _, one := range o {
			if err := renameHeaders(document, one, names); err != nil {
				return err
			}
		}
	case types.Dict:
		headers, err := document.DereferenceArray(o["Headers"])
		if err != nil {
			return err
		}
		for i, header := range headers {
			if id, ok := header.(types.StringLiteral); ok && names[id.Value()] != "" {
				headers[i] = names[id.Value()]
			}
		}
	}
	return nil
}

// joinTags appends the tags of a page, which tell screen readers what its text is, to those of the joined document that has the page already.
// Tags and what they tag find each other by numbers.
func joinTags(next, joined *model.Context, page types.Dict) error {
	from, err := joined.DereferenceDict(next.RootDict["StructTreeRoot"])
	if err != nil || from == nil {
		return err
	}
	to, err := joined.DereferenceDict(joined.RootDict["StructTreeRoot"])
	if err != nil {
		return err
	}
	if to == nil {
		joined.RootDict["StructTreeRoot"] = next.RootDict["StructTreeRoot"]
		return nil
	}
	var tables [2]types.Dict
	var numbers [2]types.Array
	for i, tree := range []types.Dict{to, from} {
		if tables[i], err = joined.DereferenceDict(tree["ParentTree"]); err != nil {
			return err
		}
		if numbers[i], err = joined.DereferenceArray(tables[i]["Nums"]); err != nil {
			return err
		}
	}
	first, second := to.IntEntry("ParentTreeNextKey"), from.IntEntry("ParentTreeNextKey")
	if first == nil || second == nil {
		return errors.New("the numbers of tags are unknown")
	}
	shift := func(dict types.Dict, key string) {
		if n := dict.IntEntry(key); n != nil {
			dict[key] = types.Integer(*n + *first)
		}
	}
	shift(page, "StructParents")
	links, err := joined.DereferenceArray(page["Annots"])
	if err != nil {
		return err
	}
	for _, object := range links {
		link, err := joined.DereferenceDict(object)
		if err != nil {
			return err
		}
		shift(link, "StructParent")
	}
	for i, object := range numbers[1] {
		if n, ok := object.(types.Integer); ok && i%2 == 0 {
			object = types.Integer(n.Value() + *first)
		}
		numbers[0] = append(numbers[0], object)
	}
	tables[0]["Nums"] = numbers[0]
	if index, ok := from["IDTree"].(types.Dict); ok {
		if all, ok := to["IDTree"].(types.Dict); ok {
			index["Names"] = append(all.ArrayEntry("Names"), index.ArrayEntry("Names")...)
		}
		to["IDTree"] = index
	}
	to["ParentTreeNextKey"] = types.Integer(*first + *second)
	// A document has one element at its top, and this page is a part of it.
	top, err := joined.DereferenceDict(to["K"])
	if err != nil {
		return err
	}
	part, err := joined.DereferenceDict(from["K"])
	if err != nil {
		return err
	}
	part["S"], part["P"] = types.Name("Part"), to["K"]
	kids, ok := top["K"].(types.Array)
	if !ok && top["K"] != nil {
		kids = types.Array{top["K"]}
	}
	top["K"] = append(kids, from["K"])
	return nil
}

// encodePDF returns a document's bytes. The same pages give the same bytes. There are no dates, which are optional (ISO 32000-2, 14.3.3), and the
// identifier is derived from the content. The objects are numbered as a walk from the root meets them; pdfcpu numbers them in random order.
func encodePDF(document *model.Context) ([]byte, error) {
	n := numbering{document: document, numbers: map[int]int{}}
	if err := n.visit(*document.Root); err != nil {
		return nil, err
	}
	root, info := n.numbers[document.Root.ObjectNumber.Value()], 0
	if document.Info != nil {
		if err := n.visit(*document.Info); err != nil {
			return nil, err
		}
		info = n.numbers[document.Info.ObjectNumber.Value()]
	}
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	var table bytes.Buffer
	for i, number := range n.order {
		fmt.Fprintf(&table, "%010d 00000 n \n", out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n", i+1)
		object := n.patch(document.Table[number].Object)
		if i+1 == info {
			if dict, ok := object.(types.Dict); ok {
				delete(dict, "CreationDate")
				delete(dict, "ModDate")
			}
		}
		switch o := object.(type) {
		case nil:
			out.WriteString("null")
		case types.StreamDict:
			o.Dict["Length"] = types.Integer(len(o.Raw))
			fmt.Fprintf(&out, "%s\nstream\n%s\nendstream", o.PDFString(), o.Raw)
		default:
			out.WriteString(o.PDFString())
		}
		out.WriteString("\nendobj\n")
	}
	id := sha256.Sum256(out.Bytes())
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<</ID[<%X><%X>]", len(n.order)+1, table.Bytes(), id[:16], id[:16])
	if info != 0 {
		fmt.Fprintf(&out, "/Info %d 0 R", info)
	}
	fmt.Fprintf(&out, "/Root %d 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n", root, len(n.order)+1, start)
	return out.Bytes(), nil
}

// numbering gives a document's objects new numbers.
type numbering struct {
	document *model.Context
	// numbers are the new numbers by the old ones.
	numbers map[int]int
	// order holds the old numbers in the new order.
	order []int
}

// visit numbers the objects that an object refers to, directly or through others.
func (n *numbering) visit(object types.Object) error {
	var inner []types.Object
	switch o := object.(type) {
	case types.IndirectRef:
		number := o.ObjectNumber.Value()
		entry := n.document.Table[number]
		if entry == nil || n.numbers[number] != 0 {
			return nil
		}
		n.order = append(n.order, number)
		n.numbers[number] = len(n.order)
		object, err := n.document.Dereference(o)
		if err != nil {
			return fmt.Errorf("reading object %d: %w", number, err)
		}
		entry.Object = object
		inner = []types.Object{object}
	case types.Dict:
		for _, key := range slices.Sorted(maps.Keys(o)) {
			inner = append(inner, o[key])
		}
	case types.StreamDict:
		inner = []types.Object{o.Dict}
	case types.Array:
		inner = o
	}
	for _, o := range inner {
		if err := n.visit(o); err != nil {
			return err
		}
	}
	return nil
}

// patch returns an object with the new numbers in its references. A reference to a missing object becomes null.
func (n *numbering) patch(object types.Object) types.Object {
	switch o := object.(type) {
	case types.IndirectRef:
		if n.numbers[o.ObjectNumber.Value()] == 0 {
			return nil
		}
		o.ObjectNumber = types.Integer(n.numbers[o.ObjectNumber.Value()])
		return o
	case types.Dict:
		for key, value := range o {
			o[key] = n.patch(value)
		}
	case types.StreamDict:
		n.patch(o.Dict)
	case types.Array:
		for i, item := range o {
			o[i] = n.patch(item)
		}
	}
	return object
}
