//go:build linux

package main

import (
	"fmt"
	"regexp"
	"slices"
)

// cSource finds the mutants of a C file, as goSource does for Go. It supports only the C that
// the shims use: declarations, statements, and expressions without macros that hide an
// operator.
func cSource(path, text string) (*source, error) {
	c := &cFinder{source: &source{path: path, text: text}}
	if err := c.scan(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := 0; i < len(c.tokens); i++ {
		if c.is(i, "{") {
			if i > 0 && c.is(i-1, ")") {
				c.function = c.tokens[c.tokens[i-1].partner-1].text
				c.statements(i+1, c.tokens[i].partner)
				c.constants(i+1, c.tokens[i].partner)
			}
			i = c.tokens[i].partner
		}
	}
	return c.sort(), nil
}

type cToken struct {
	text       string
	start, end int
	partner    int // the index of the other bracket
}

type cFinder struct {
	*source
	tokens []cToken
}

var (
	// Comments, and the preprocessor's lines with their continuations.
	cSpace = regexp.MustCompile(`^(\s|/\*(?s:.*?)\*/|//[^\n]*|#(\\\n|[^\n])*)+`)
	cWord  = regexp.MustCompile(`^([A-Za-z_0-9]+|"(\\.|[^"\\])*"|'(\\.|[^'\\])*'|->|\+\+|--|<<=?|>>=?|&&|\|\||[-+*/%&|^!=<>]=|.)`)
	cName  = regexp.MustCompile(`^[A-Za-z_]`)
	cDigit = regexp.MustCompile(`^[0-9]`)

	cComparisons = []string{"==", "!=", "<", "<=", ">", ">="}
	cBooleans    = append([]string{"||", "&&"}, cComparisons...)
	cBoundaries  = map[string]string{"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
	// The operators between parts of an expression that can each be true or false.
	cSeparators = []string{",", "?", ":", "=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="}
)

// scan splits the text into tokens, and pairs the brackets.
func (c *cFinder) scan() error {
	var open []int
	for at := len(cSpace.FindString(c.text)); at < len(c.text); {
		t := cToken{text: cWord.FindString(c.text[at:]), start: at}
		t.end = at + len(t.text)
		switch t.text {
		case "(", "[", "{":
			open = append(open, len(c.tokens))
		case ")", "]", "}":
			if len(open) == 0 {
				return fmt.Errorf("the bracket at byte %d closes nothing", at)
			}
			t.partner = open[len(open)-1]
			c.tokens[t.partner].partner = len(c.tokens)
			open = open[:len(open)-1]
		}
		c.tokens = append(c.tokens, t)
		at = t.end + len(cSpace.FindString(c.text[t.end:]))
	}
	if len(open) > 0 {
		return fmt.Errorf("the bracket at byte %d is not closed", c.tokens[open[0]].start)
	}
	return nil
}

func (c *cFinder) is(i int, texts ...string) bool { return slices.Contains(texts, c.tokens[i].text) }

// find returns the first of these tokens in a range outside brackets, or the end of the range.
func (c *cFinder) find(from, to int, texts ...string) int {
	for i := from; i < to; i++ {
		if c.is(i, texts...) {
			return i
		}
		if c.is(i, "(", "[", "{") {
			i = c.tokens[i].partner
		}
	}
	return to
}

func (c *cFinder) statements(from, to int) {
	for i := from; i < to; {
		switch {
		case c.is(i, "if", "while", "switch", "for"):
			closing := c.tokens[i+1].partner
			switch first := c.find(i+2, closing, ";"); {
			case c.is(i, "if"):
				c.condition(i+2, closing, always, never, inverted)
			case c.is(i, "while"):
				c.condition(i+2, closing, never)
			case c.is(i, "for"):
				second := c.find(first+1, closing, ";")
				c.expression(i+2, first)
				c.condition(first+1, second, never)
				c.expression(second+1, closing)
			default:
				c.expression(i+2, closing)
			}
			i = closing + 1
		case c.is(i, "case"):
			colon := c.find(i, to, ":")
			c.add(c.tokens[i].start, c.tokens[colon].end, dropped, "")
			i = colon + 1
		case c.is(i, "{", "}", ";", "else", "do", "return", "default", ":"):
			i++
		default: // an expression or a declaration
			end := c.find(i, to, ";", "{", "}")
			if !c.is(i-1, "return") && c.is(end, ";") && c.executes(i) {
				c.add(c.tokens[i].start, c.tokens[end].end, removed, "")
			}
			c.expression(i, end)
			i = end
		}
	}
}

// executes reports whether the tokens are a statement, and not a declaration or the rest of
// one.
func (c *cFinder) executes(i int) bool {
	return c.is(i, "(", "*") || cName.MatchString(c.tokens[i].text) && !c.declares(i)
}

// declares reports whether the tokens are a declaration, which begins with a type and a
// name, and not an expression.
func (c *cFinder) declares(i int) bool {
	return cName.MatchString(c.tokens[i].text) && (c.is(i+1, "*") || cName.MatchString(c.tokens[i+1].text))
}

// constants finds numbers and the operands of |, without the sizes of declared arrays and
// the cases of a switch.
func (c *cFinder) constants(from, to int) {
	for i := from; i < to; i++ {
		t := c.tokens[i]
		switch {
		case t.text == "case":
			i = c.find(i, to, ":")
		case t.text == "[" && i > 1 && c.declares(i-2):
			i = t.partner
		case cDigit.MatchString(t.text):
			c.addNumber(t.start, t.end)
		case t.text == "|":
			c.add(c.tokens[i-1].start, c.tokens[i+1].start, cleared, "")
			c.add(c.tokens[i-1].end, c.tokens[i+1].end, cleared, "")
		}
	}
}

// expression finds the conditions in an expression.
func (c *cFinder) expression(from, to int) {
	for from < to {
		i := c.find(from, to, cSeparators...)
		if i > from && (c.is(from, "!") || c.find(from, i, cBooleans...) < i || i < to && c.is(i, "?")) {
			c.condition(from, i, always, never, inverted)
		} else {
			c.within(from, i)
		}
		from = i + 1
	}
}

// within searches the brackets of an expression that has no operator of interest.
func (c *cFinder) within(from, to int) {
	for i := from; i < to; i++ {
		if c.is(i, "(", "[", "{") {
			c.expression(i+1, c.tokens[i].partner)
			i = c.tokens[i].partner
		}
	}
}

// condition changes an expression that is true or false, as a whole and in its parts.
func (c *cFinder) condition(from, to int, changes ...change) {
	start, end := c.tokens[from].start, c.tokens[to-1].end
	for c.is(from, "!") && c.find(from, to, cBooleans...) == to {
		from++
	}
	for c.is(from, "(") && c.tokens[from].partner == to-1 {
		from, to = from+1, to-1
	}
	operator, without := "||", never
	if c.find(from, to, "||") == to {
		operator, without = "&&", always
	}
	logical := c.find(from, to, operator) < to
	for _, change := range changes {
		if change != inverted || !logical { // its operands are inverted
			c.add(start, end, change, "")
		}
	}
	i := c.find(from, to, cComparisons...)
	switch {
	case logical:
		for from < to {
			i := c.find(from, to, operator)
			c.condition(from, i, without, inverted)
			from = i + 1
		}
	case i == to:
		c.within(from, to)
	default:
		if other := cBoundaries[c.tokens[i].text]; other != "" {
			s, e := c.tokens[from].start, c.tokens[to-1].end
			c.add(s, e, boundary, c.text[s:c.tokens[i].start]+other+c.text[c.tokens[i].end:e])
		}
		c.expression(from, i)
		c.expression(i+1, to)
	}
}
