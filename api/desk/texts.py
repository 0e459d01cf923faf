"""Every word of the page in English and Chinese. Pure.

The Chinese terms are those of digital city management (核实, 立案, 派遣, 结案), see FIELD.md section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal, get_args

Lang = Literal["en", "zh"]
LANGS: Final[tuple[Lang, ...]] = get_args(Lang)
HTML_LANG: Final[Mapping[Lang, str]] = MappingProxyType({"en": "en", "zh": "zh-CN"})

EN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "title": "Kerbwatch desk",
        "desk": "Case desk",
        "waiting": "{n} to review",
        "waiting_none": "nothing to review",
        "operator": "Operator",
        "operator_default": "operator",
        "operator_hint": "Your name, kept with every decision",
        "language": "中文",
        "language_hint": "切换到中文 (L)",
        "help": "Keys",
        # list
        "cases": "Cases",
        "tab.review": "To review",
        "tab.filed": "Filed",
        "tab.rejected": "Rejected",
        "tab.all": "All",
        "kind": "Kind",
        "all_kinds": "All kinds",
        "newest_of": "The newest {shown} of {total} cases",
        "newest": "The newest {shown} cases; there are older ones",
        "confidence_short": "{percent} %",
        "no_picture": "no picture",
        # kinds
        "kind.illegal_parking": "Illegal parking",
        "kind.street_vending": "Street vending",
        "kind.shop_overflow": "Goods beyond the shopfront",
        "kind.exposed_garbage": "Exposed garbage",
        "kind.road_litter": "Litter on the road",
        "kind.bin_overflow": "Overflowing bin",
        "kind.green_belt_litter": "Litter in a green belt",
        "kind.flying_wire": "Flying-wire charging",
        # variants of a kind
        "variant.motor": "motor vehicle",
        "variant.nonmotor": "non-motor vehicle",
        "variant.fire_lane": "fire lane",
        "variant.occupying_road": "on the road",
        # statuses
        "status.reported": "To review",
        "status.confirmed": "Confirmed",
        "status.rejected": "Rejected",
        "status.dispatched": "Dispatched",
        "status.returned": "Returned",
        "status.handled": "Handled",
        "status.closed": "Closed",
        # the case
        "role.far": "Wide view",
        "role.near": "Close-up",
        "role.before": "Before",
        "role.after": "After",
        "role.clip": "Clip",
        "clip_none": "No clip with this case",
        "picture_of": "{role}: {kind}, {zone}",
        "picture_none": "This case has no picture",
        "picture_missing": "The picture is not in the store",
        "clip_missing": "The clip cannot be played",
        "fact.case": "Case",
        "fact.code": "Code",
        "fact.place": "Zone, camera",
        "fact.site": "Site",
        "fact.started": "Since",
        "fact.observed": "Last seen",
        "fact.dwell": "There for",
        "fact.ended": "Gone at",
        "fact.confidence": "Confidence",
        "fact.model": "Model",
        "fact.location": "Position",
        "fact.method": "Located by",
        "method.homography": "ground points",
        "method.camera_pose": "camera pose",
        "method.camera_position": "camera position only",
        "method.vehicle_track": "vehicle track",
        # map
        "map_none": "No base map configured · grid {step} m",
        # decisions
        "decision": "Decision",
        "confirm": "Confirm",
        "reject": "Reject",
        "previous": "Previous case",
        "next": "Next case",
        "why_reject": "Why reject?",
        "cancel": "Cancel",
        "reason.not_an_offence": "Not an offence",
        "reason.not_there": "Nothing there",
        "reason.other": "Other",
        "reason.wrong_kind": "Wrong kind",
        "reason.duplicate": "Duplicate",
        "reason.permitted": "Permitted",
        "reason.picture_unclear": "Picture unclear",
        "done.confirm": "Confirmed: {what}",
        "done.reject": "Rejected: {what}",
        "decided.confirm": "Confirmed by {who}, {at}",
        "decided.reject": "Rejected by {who}, {at}",
        "who.auto": "the automatic rule",
        "conflict": "Someone else was faster: this case is already “{status}”. Nothing was changed.",
        "gone": "This case is no longer in the store.",
        "dispatch.line": "Dispatch: {text}",
        "dispatch.pending": "waiting to be sent",
        "dispatch.retry": "not accepted yet, {n} attempts, goes on",
        "dispatch.delivered": "received by the city platform, no. {receipt}",
        "dispatch.dead": "given up after {n} attempts: {error}",
        # states
        "empty.none": "No cases yet",
        "empty.none_more": "Cases appear here by themselves as soon as a camera reports one.",
        "empty.review": "Nothing to review",
        "empty.review_more": "All cases are decided. New ones appear here by themselves.",
        "empty.filter": "No case matches this filter",
        "empty.filter_more": "Choose another tab or kind to see more.",
        "error": "The case store does not answer",
        "error_more": "Nothing is lost. The page tries again by itself. ({sentence})",
        "not_saved": "Not saved: {sentence}",
        "lost": "Connection to the server lost",
        "reconnecting": "Trying to reconnect …",
        # help
        "help_title": "Keys",
        "help.next": "Next case",
        "help.previous": "Previous case",
        "help.confirm": "Confirm",
        "help.reject": "Reject, then a reason",
        "help.picture": "Next picture",
        "help.language": "English / 中文",
        "help.help": "Show or hide this help",
        "help.escape": "Close, cancel",
        "help_note": "Keys do nothing while you type in a field.",
        "close": "Close",
    }
)

ZH: Final[Mapping[str, str]] = MappingProxyType(
    {
        "title": "Kerbwatch 审核台",
        "desk": "案件审核台",
        "waiting": "待核实 {n} 件",
        "waiting_none": "没有待核实案件",
        "operator": "审核员",
        "operator_default": "审核员",
        "operator_hint": "您的姓名，随每次审核一并记录",
        "language": "English",
        "language_hint": "Switch to English (L)",
        "help": "快捷键",
        "cases": "案件",
        "tab.review": "待核实",
        "tab.filed": "已立案",
        "tab.rejected": "不予立案",
        "tab.all": "全部",
        "kind": "类别",
        "all_kinds": "全部类别",
        "newest_of": "显示最新 {shown} 件，共 {total} 件",
        "newest": "显示最新 {shown} 件，还有更早的案件",
        "confidence_short": "{percent} %",
        "no_picture": "无图",
        "kind.illegal_parking": "违法停车",
        "kind.street_vending": "流动摊贩",
        "kind.shop_overflow": "店外经营",
        "kind.exposed_garbage": "暴露垃圾",
        "kind.road_litter": "道路不洁",
        "kind.bin_overflow": "垃圾桶满溢",
        "kind.green_belt_litter": "绿地脏乱",
        "kind.flying_wire": "飞线充电",
        "variant.motor": "机动车",
        "variant.nonmotor": "非机动车",
        "variant.fire_lane": "消防通道",
        "variant.occupying_road": "占道",
        "status.reported": "待核实",
        "status.confirmed": "已立案",
        "status.rejected": "不予立案",
        "status.dispatched": "已派遣",
        "status.returned": "已退回",
        "status.handled": "已处置",
        "status.closed": "已结案",
        "role.far": "远景",
        "role.near": "近景",
        "role.before": "事前",
        "role.after": "事后",
        "role.clip": "视频",
        "clip_none": "本案件没有视频",
        "picture_of": "{role}：{kind}，{zone}",
        "picture_none": "本案件没有图片",
        "picture_missing": "证据库中找不到该图片",
        "clip_missing": "视频无法播放",
        "fact.case": "案件号",
        "fact.code": "代码",
        "fact.place": "区域、摄像机",
        "fact.site": "点位",
        "fact.started": "开始时间",
        "fact.observed": "最近发现",
        "fact.dwell": "持续时间",
        "fact.ended": "消失时间",
        "fact.confidence": "置信度",
        "fact.model": "模型",
        "fact.location": "位置",
        "fact.method": "定位方式",
        "method.homography": "地面控制点",
        "method.camera_pose": "摄像机姿态",
        "method.camera_position": "仅摄像机位置",
        "method.vehicle_track": "车辆轨迹",
        "map_none": "未配置底图 · 网格 {step} 米",
        "decision": "审核",
        "confirm": "确认",
        "reject": "驳回",
        "previous": "上一件",
        "next": "下一件",
        "why_reject": "驳回原因",
        "cancel": "取消",
        "reason.not_an_offence": "不构成违规",
        "reason.not_there": "误报（现场无此物）",
        "reason.other": "其他",
        "reason.wrong_kind": "类别错误",
        "reason.duplicate": "重复案件",
        "reason.permitted": "已获许可",
        "reason.picture_unclear": "图像不清",
        "done.confirm": "已确认：{what}",
        "done.reject": "已驳回：{what}",
        "decided.confirm": "{who} 于 {at} 确认",
        "decided.reject": "{who} 于 {at} 驳回",
        "who.auto": "自动规则",
        "conflict": "其他人已先处理：本案件目前为“{status}”，未作任何改动。",
        "gone": "案件库中已没有本案件。",
        "dispatch.line": "派遣：{text}",
        "dispatch.pending": "等待发送",
        "dispatch.retry": "尚未被接收，已尝试 {n} 次，将继续",
        "dispatch.delivered": "城市平台已接收，编号 {receipt}",
        "dispatch.dead": "尝试 {n} 次后停止：{error}",
        "empty.none": "尚无案件",
        "empty.none_more": "摄像机上报后，案件会自动出现在这里。",
        "empty.review": "没有待核实案件",
        "empty.review_more": "全部案件已审核，新案件会自动出现。",
        "empty.filter": "没有符合筛选条件的案件",
        "empty.filter_more": "请选择其他分页或类别。",
        "error": "案件库没有响应",
        "error_more": "数据没有丢失，页面会自动重试。（{sentence}）",
        "not_saved": "未保存：{sentence}",
        "lost": "与服务器的连接已断开",
        "reconnecting": "正在重新连接 …",
        "help_title": "快捷键",
        "help.next": "下一件",
        "help.previous": "上一件",
        "help.confirm": "确认",
        "help.reject": "驳回，再选原因",
        "help.picture": "下一张图片",
        "help.language": "中文 / English",
        "help.help": "显示或隐藏本帮助",
        "help.escape": "关闭、取消",
        "help_note": "在输入框中打字时快捷键不起作用。",
        "close": "关闭",
    }
)

TEXTS: Final[Mapping[Lang, Mapping[str, str]]] = MappingProxyType({"en": EN, "zh": ZH})


def say(lang: Lang, key: str, **values: object) -> str:
    """Give one text in one language.

    >>> say("en", "waiting", n=3)
    '3 to review'
    >>> say("zh", "kind.flying_wire")
    '飞线充电'
    """
    return TEXTS[lang][key].format(**values)


def say_or(lang: Lang, key: str, fallback: str) -> str:
    """Give one text, or the fallback where a newer sender uses a word this table does not have.

    >>> say_or("en", "variant.hovercraft", "hovercraft")
    'hovercraft'
    """
    return TEXTS[lang].get(key, fallback)


def language_of(remembered: str | None, accept_language: str | None) -> Lang:
    """Choose the language: what this browser chose before, else the first of Accept-Language that we have.

    >>> language_of(None, "fr;q=0.9, zh-TW;q=0.8, en;q=0.7")
    'zh'
    >>> language_of("en", "zh-CN")
    'en'
    >>> language_of("xx", None)
    'en'
    """
    for lang in LANGS:
        if remembered == lang:
            return lang
    for tag in _by_preference(accept_language or ""):
        for lang in LANGS:
            if tag == lang or tag.startswith(f"{lang}-"):
                return lang
    return "en"


def _by_preference(header: str) -> list[str]:
    """Sort the tags of an Accept-Language header, the most wanted first. Source: RFC 9110, 12.5.4."""
    wanted: list[tuple[float, str]] = []
    for part in header.lower().split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((float(weight or 1), tag.strip()))
        except ValueError:
            continue
    return [tag for quality, tag in sorted(wanted, key=lambda item: -item[0]) if tag and quality > 0]


def duration(lang: Lang, span: timedelta) -> str:
    """Say how long something took, in the two largest units.

    >>> duration("en", timedelta(seconds=200))
    '3 min 20 s'
    >>> duration("zh", timedelta(hours=26, minutes=5))
    '1 天 2 小时'
    >>> duration("en", timedelta(seconds=-1))
    '0 s'
    """
    names = {"en": ("d", "h", "min", "s"), "zh": ("天", "小时", "分", "秒")}[lang]
    rest = max(0, round(span.total_seconds()))
    parts: list[str] = []
    for name, size in zip(names, (86400, 3600, 60, 1), strict=True):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {name}")
    whole = [part for part in parts[:2] if not part.startswith("0 ")]
    return " ".join(whole) or f"0 {names[3]}"
