"""The stand-in's .ui files and the widgets of ctk and qMRML in them."""

from __future__ import annotations

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="the stand-in needs PySide6", exc_type=ImportError)
pytestmark = pytest.mark.skipif(hasattr(slicer, "app"), reason="the stand-in has no place in the application")

UI = """
<ui version="4.0"><class>Panel</class>
<widget class="qMRMLWidget" name="Panel"><layout class="QVBoxLayout" name="column">
  <item><widget class="ctkCollapsibleButton" name="inputs"><property name="text"><string>Inputs</string></property>
    <layout class="QFormLayout" name="form">
      <item row="0" column="0"><widget class="QLabel" name="label"><property name="buddy"><cstring>points</cstring>
        </property></widget></item>
      <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="points">
        <property name="nodeTypes"><stringlist notr="true"><string>vtkMRMLMarkupsFiducialNode</string></stringlist>
        </property><property name="noneEnabled"><bool>true</bool></property></widget></item>
    </layout></widget></item>
  <item><widget class="QCheckBox" name="check"/></item>
  <item><widget class="QPushButton" name="applyButton"><property name="enabled"><bool>false</bool></property>
    <property name="SlicerParameterName" stdset="0"><string>apply</string></property></widget></item>
</layout></widget>
<customwidgets>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header>
    <container>1</container></customwidget>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><header>ctkCollapsibleButton.h</header>
    <container>1</container></customwidget>
  <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header>
    </customwidget>
</customwidgets>
<connections>
  <connection><sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal><receiver>points</receiver>
    <slot>setMRMLScene(vtkMRMLScene*)</slot></connection>
  <connection><sender>check</sender><signal>toggled(bool)</signal><receiver>applyButton</receiver>
    <slot>setEnabled(bool)</slot></connection>
</connections></ui>
"""


@pytest.fixture
def load_ui(stand_in, tmp_path):
    """Loads the text of a .ui file: its widgets by name, as a module gets them."""

    def load(text: str):
        path = tmp_path / "Panel.ui"
        path.write_text(text, encoding="utf-8")
        root = slicer.util.loadUI(str(path))
        widgets = slicer.util.childWidgetVariables(root)
        widgets.root = root
        return widgets

    return load


def fiducials(scene):
    return scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")


def test_a_ui_file_gives_its_widgets_by_name(load_ui):
    ui = load_ui(UI)
    assert ui.inputs.text == "Inputs"
    assert not ui.applyButton.enabled
    ui.check.checked = True
    assert ui.applyButton.enabled
    assert ui.applyButton.property("SlicerParameterName") == "apply"
    with pytest.raises(AttributeError):
        ui.root.applyButton  # noqa: B018 - PySide6's loader would set it, Slicer's does not


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('class="QCheckBox"', 'class="QChequeBox"', "no qt.QChequeBox"),
        ('class="ctkCollapsibleButton" name', 'class="ctkFoldingButton" name', "no ctk.ctkFoldingButton"),
        ('class="qMRMLNodeComboBox" name', 'class="qMRMLKnotComboBox" name', "no slicer.qMRMLKnotComboBox"),
        ('name="noneEnabled"', 'name="nonEnabled"', "qMRMLNodeComboBox points has no property nonEnabled"),
        ("<sender>check<", "<sender>cheque<", "cheque, which is not in the .ui file"),
        (">toggled(bool)<", ">togled(bool)<", r"QCheckBox has no signal togled\(bool\)"),
        (">setEnabled(bool)<", ">setEnable(bool)<", "no attribute 'setEnable'"),
    ],
)
def test_a_broken_ui_file_is_refused(load_ui, right, wrong, message):
    assert right in UI
    with pytest.raises(AttributeError, match=message):
        load_ui(UI.replace(right, wrong))


def test_the_scene_reaches_the_selectors_of_a_ui_file(stand_in, load_ui):
    ui = load_ui(UI)
    assert not ui.points.enabled
    ui.root.setMRMLScene(stand_in.scene)
    assert ui.points.enabled
    assert ui.points.mrmlScene() is stand_in.scene


def test_a_selector_follows_the_scene(stand_in):

    selector, heard = slicer.qMRMLNodeComboBox(), []
    selector.nodeTypes = ["vtkMRMLMarkupsFiducialNode"]
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    selector.connect("currentNodeChanged(bool)", heard.append)
    selector.setMRMLScene(stand_in.scene)
    first, hidden = fiducials(stand_in.scene), slicer.vtkMRMLMarkupsFiducialNode()
    hidden.SetHideFromEditors(True)
    stand_in.scene.AddNode(hidden)
    stand_in.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    assert selector.nodeCount() == 1
    assert heard == [first, True]
    second = selector.addNode()
    assert selector.currentNodeID == second.GetID()
    stand_in.scene.RemoveNode(second)
    assert selector.currentNode() is first
    stand_in.scene.Clear(False)
    assert selector.currentNode() is None
    assert heard[-2:] == [None, False]


def test_a_selector_with_none_waits_for_the_user(stand_in):

    selector = slicer.qMRMLNodeComboBox()
    selector.noneEnabled = True
    selector.nodeTypes = ["vtkMRMLMarkupsFiducialNode"]
    selector.addAttribute("vtkMRMLMarkupsFiducialNode", "Role", "landmarks")
    selector.setMRMLScene(stand_in.scene)
    fiducials(stand_in.scene)
    assert selector.nodeCount() == 0
    made = selector.addNode()
    assert made.GetAttribute("Role") == "landmarks"
    selector.setCurrentNode(None)
    assert selector.currentNode() is None
    selector.setCurrentNodeID(made.GetID())
    assert selector.currentNode() is made


def test_a_collapsed_section_hides_its_contents_and_shows_them_again(stand_in):
    import ctk
    import qt

    section, heard = ctk.ctkCollapsibleButton("Advanced"), []
    column = qt.QVBoxLayout(section)
    shown, hidden = qt.QLabel("a"), qt.QLabel("b")
    column.addWidget(shown)
    column.addWidget(hidden)
    hidden.visible = False
    section.connect("contentsCollapsed(bool)", heard.append)
    section.collapsed = True
    assert not shown.isVisibleTo(section)
    section.collapsed = False
    assert shown.isVisibleTo(section)
    assert not hidden.isVisibleTo(section)
    assert heard == [True, False]


def test_numbers_have_a_range_and_a_unit(stand_in):
    import ctk

    for number in (ctk.ctkSliderWidget(), ctk.ctkDoubleSpinBox()):
        heard = []
        number.connect("valueChanged(double)", heard.append)
        number.minimum = 1
        number.setMaximum(5)
        number.suffix = " mm"
        number.value = 9
        assert number.value == 5
        assert heard[-1] == 5


def test_a_path_is_typed_or_set(stand_in):
    import ctk

    line, heard = ctk.ctkPathLineEdit(), []
    line.filters = ctk.ctkPathLineEdit.Dirs
    line.connect("currentPathChanged(QString)", heard.append)
    line.currentPath = "/data"
    line.setCurrentPath("/data/runs")
    assert line.currentPath == "/data/runs"
    assert heard == ["/data", "/data/runs"]


def test_a_progress_bar_without_a_window_takes_a_value(stand_in):
    import qt

    bar = qt.QProgressBar()
    bar.setRange(0, 1000)
    bar.value = 7
    assert bar.value == 7


def test_items_of_a_checkable_list_are_checked_one_by_one(stand_in):
    import ctk
    import qt

    box, heard = ctk.ctkCheckableComboBox(), []
    box.addItems(["sagittal", "coronal"])
    box.connect("checkedIndexesChanged()", lambda: heard.append(1))
    box.setCheckState(box.model().index(1, 0), qt.Qt.Checked)
    assert [index.row() for index in box.checkedIndexes()] == [1]
    assert heard


def test_the_headers_of_a_table_have_the_same_manners(stand_in):
    import qt

    table = qt.QTableWidget(2, 3)
    table.setItem(0, 0, qt.QTableWidgetItem("AC"))
    table.horizontalHeader().stretchLastSection = True
    assert table.item(0, 0).text() == "AC"
    with pytest.raises(AttributeError):
        table.horizontalHeader().stretchLast = True
